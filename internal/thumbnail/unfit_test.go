package thumbnail_test

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// longest is far more than a picture takes that is given up in time, and far less than one that is not.
const longest = 15 * time.Second

// A small file can have many scans, each of which costs the work of going over all pixels.
func TestMakeRefusesManyScans(t *testing.T) {
	t.Parallel()
	began := time.Now()
	_, err := thumbnail.Make(t.Context(), bytes.NewReader(progressive(sampling{0x11}, 1024, 1024, 2000)))
	if took := time.Since(began); !errors.Is(err, thumbnail.ErrUnfit) || took > longest {
		t.Errorf("error = %v after %v, want ErrUnfit within %v", err, took, longest)
	}
}

// pausing is a file that lets itself be waited for.
type pausing struct{ io.Reader }

func (p pausing) Read(b []byte) (int, error) {
	<-time.After(time.Hour)
	return p.Reader.Read(b)
}

// The wait for a file is no work on the picture. The hours pass at once in here.
func TestMakeWaitsForTheFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := pausing{bytes.NewReader(encoded(t, 64, 64, color.NRGBA{1, 2, 3, 255}, true))}
		if _, err := thumbnail.MakeWithin(t.Context(), file, time.Minute); err != nil {
			t.Error(err)
		}
	})
}

// Slow decoding is a property of the picture and cached; a slow or broken file and a caller that has left are not.
func TestMakeTimesOut(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("the store is away")
	slow := progressive(sampling{0x11}, 2048, 2048, 90)
	quick := encoded(t, 64, 64, color.NRGBA{1, 2, 3, 255}, true)
	rows := []struct {
		name          string
		ctx           context.Context
		file          io.Reader
		decodeTimeout time.Duration
		want          error
		unfit         bool
	}{
		{name: "too long", ctx: t.Context(), file: bytes.NewReader(slow), decodeTimeout: 20 * time.Millisecond, want: thumbnail.ErrUnfit, unfit: true},
		{name: "caller gone", ctx: gone, file: bytes.NewReader(quick), decodeTimeout: time.Minute, want: context.Canceled, unfit: false},
		{name: "broken at once", ctx: t.Context(), file: iotest.ErrReader(broken), decodeTimeout: time.Minute, want: broken, unfit: false},
		{name: "broken on the way", ctx: t.Context(), file: io.MultiReader(bytes.NewReader(slow[:len(slow)/2]), iotest.ErrReader(broken)), decodeTimeout: time.Minute, want: broken, unfit: false},
		{name: "broken TIFF", ctx: t.Context(), file: io.MultiReader(strings.NewReader("II*\x00\x08\x00\x00\x00"), iotest.ErrReader(broken)), decodeTimeout: time.Minute, want: broken, unfit: false},
		{name: "cut off", ctx: t.Context(), file: bytes.NewReader(slow[:len(slow)/2]), decodeTimeout: time.Minute, want: thumbnail.ErrUnfit, unfit: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := thumbnail.MakeWithin(row.ctx, row.file, row.decodeTimeout)
			if !errors.Is(err, row.want) || errors.Is(err, thumbnail.ErrUnfit) != row.unfit {
				t.Errorf("error = %v, want %v, unfit %t", err, row.want, row.unfit)
			}
			if took := time.Since(began); took > longest {
				t.Errorf("duration = %v, want at most %v", took, longest)
			}
		})
	}
}

// A picture that is unfit is read once, also over a restart. One that could not be read is read again.
func TestGetRemembersTheUnfit(t *testing.T) {
	t.Parallel()
	broken := errors.New("the store is away")
	rows := []struct {
		name    string
		file    func() io.Reader
		fetches int
		want    error
	}{
		{"broken pixels", func() io.Reader { return bytes.NewReader(bomb(100, 100)) }, 1, thumbnail.ErrUnfit},
		{"too much to decode", func() io.Reader { return bytes.NewReader(pngHead(5000, 5000, 16, 6, 0)) }, 1, thumbnail.ErrUnfit},
		{"broken file", func() io.Reader { return iotest.ErrReader(broken) }, 4, broken},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder, sum, fetches := t.TempDir(), strings.Repeat("ab", 32), 0
			open := func(context.Context) (io.ReadCloser, error) {
				fetches++
				return io.NopCloser(row.file()), nil
			}
			for range 2 {
				maker, err := thumbnail.New(folder)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if content, _, err := maker.Get(t.Context(), sum, open); !errors.Is(err, row.want) || content != nil {
						t.Errorf("%d bytes, error %v", len(content), err)
					}
				}
				if possible := maker.Possible(sum, "image/png", 100, 100); possible != (row.fetches > 1) {
					t.Errorf("Possible = %t, want %t", possible, row.fetches > 1)
				}
				if err := maker.Close(); err != nil {
					t.Error(err)
				}
			}
			if fetches != row.fetches {
				t.Errorf("reads = %d, want %d", fetches, row.fetches)
			}
		})
	}
}

func TestPossible(t *testing.T) {
	t.Parallel()
	maker, err := thumbnail.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = maker.Close() }()
	rows := []struct {
		mediaType     string
		width, height int
		want          bool
	}{
		{"image/png", 5792, 5792, true},
		{"image/tiff", 1, 1, true},
		{"image/png", 5793, 5793, false},
		{"image/png", 1 << 40, 1 << 40, false},
		{"image/png", 0, 10, false},
		{"image/png", 10, -1, false},
		{"image/avif", 10, 10, false},
		{"image/svg+xml", 10, 10, false},
		{"", 10, 10, false},
	}
	for _, row := range rows {
		if got := maker.Possible(strings.Repeat("ab", 32), row.mediaType, row.width, row.height); got != row.want {
			t.Errorf("Possible(%s of %d x %d) = %t, want %t", row.mediaType, row.width, row.height, got, row.want)
		}
	}
}
