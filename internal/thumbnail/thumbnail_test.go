package thumbnail_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/thumbnail"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func encoded(t testing.TB, width, height int, fill color.Color, asJPEG bool) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	for n := range width * height {
		picture.Set(n%width, n/width, fill)
	}
	var out bytes.Buffer
	err := png.Encode(&out, picture)
	if asJPEG {
		out.Reset()
		err = jpeg.Encode(&out, picture, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestMake(t *testing.T) {
	t.Parallel()
	solid, glass := color.NRGBA{200, 30, 30, 255}, color.NRGBA{200, 30, 30, 100}
	rows := []struct {
		name          string
		file          []byte
		width, height int // 0 where there is no thumbnail
		format        string
	}{
		{"large", encoded(t, 1000, 500, solid, false), 320, 160, "jpeg"},
		{"JPEG", encoded(t, 500, 1000, solid, true), 160, 320, "jpeg"},
		{"seen through", encoded(t, 640, 640, glass, false), 320, 320, "png"},
		{"small stays", encoded(t, 10, 20, solid, false), 10, 20, "jpeg"},
		{"very flat", encoded(t, 2000, 1, solid, false), 320, 1, "jpeg"},
		{"too many pixels", bomb(30_000, 30_000), 0, 0, ""},
		{"no pixels behind the header", bomb(100, 100), 0, 0, ""},
		{"truncated", encoded(t, 1000, 500, solid, false)[:200], 0, 0, ""},
		{"page", []byte("<html>"), 0, 0, ""},
		{"SVG", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), 0, 0, ""},
		{"empty", nil, 0, 0, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			made, err := thumbnail.Make(t.Context(), bytes.NewReader(row.file))
			if row.width == 0 {
				if !errors.Is(err, thumbnail.ErrUnfit) {
					t.Errorf("error %v", err)
				}
				return
			}
			config, format, err := image.DecodeConfig(bytes.NewReader(made))
			if err != nil || config.Width != row.width || config.Height != row.height || format != row.format {
				t.Errorf("got %s of %d x %d, error %v", format, config.Width, config.Height, err)
			}
		})
	}
}

// A thumbnail is made once for concurrent callers, and is cached across restarts.
func TestGetKeeps(t *testing.T) {
	t.Parallel()
	folder, sum := t.TempDir(), strings.Repeat("ab", 32)
	if err := os.WriteFile(filepath.Join(folder, ".new-"+sum), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int64
	file := encoded(t, 640, 320, color.NRGBA{1, 2, 3, 255}, false)
	open := func(context.Context) (io.ReadCloser, error) {
		opened.Add(1)
		return io.NopCloser(bytes.NewReader(file)), nil
	}
	for range 2 {
		m, err := thumbnail.New(folder)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if content, mediaType, err := m.Get(t.Context(), sum, open); err != nil || mediaType != "image/jpeg" || len(content) == 0 {
					t.Errorf("%d bytes of %s, error %v", len(content), mediaType, err)
				}
			})
		}
		group.Wait()
		for _, name := range []string{"", "../x", strings.Repeat("g", 64)} {
			if _, _, err := m.Get(t.Context(), name, open); !errors.Is(err, thumbnail.ErrUnfit) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || opened.Load() != 1 {
		t.Errorf("%v in the folder, opened %d times, error %v", entries, opened.Load(), err)
	}
}

func FuzzMake(f *testing.F) {
	f.Add(encoded(f, 3, 3, color.NRGBA{1, 2, 3, 4}, false))
	f.Add(encoded(f, 9, 2, color.NRGBA{1, 2, 3, 255}, true))
	f.Add(bomb(5, 5))
	f.Add(blank(f, 9, 9, 16, true))
	f.Add(baseline(sampling{0x22, 0x11, 0x11, 0x22}, 20, 20))
	f.Add(progressive(sampling{0x21, 0x11, 0x11}, 40, 20, 3))
	f.Add(stripped(f, 9, 9, 2))
	f.Add(riff(extended(20, 20), webpChunk("ALPH", make([]byte, 402)), lossy(20, 20, 5000)))
	f.Fuzz(func(t *testing.T, file []byte) {
		made, err := thumbnail.Make(t.Context(), bytes.NewReader(file))
		if err != nil {
			return
		}
		config, _, err := image.DecodeConfig(bytes.NewReader(made))
		if err != nil || config.Width > thumbnail.Side || config.Height > thumbnail.Side {
			t.Errorf("size = %d x %d, error %v, want at most %d x %d", config.Width, config.Height, err, thumbnail.Side, thumbnail.Side)
		}
	})
}
