package download_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

// C1 of the list of faults: an image whose writer left out the end marker is stored when the host sends the same bytes twice, and a
// cut is not stored.
func TestImageWithoutItsEndMarker(t *testing.T) {
	t.Parallel()
	baseline, arithmetic := withoutEnd(noisyJPEG(t), 2), withoutEnd(testFile(t, "arithmetic.jpg"), 2)
	progressive, moving := withoutEnd(testFile(t, "progressive.jpg"), 2), withoutEnd(animation(t), 1)
	lastScan := bytes.LastIndex(progressive, []byte{0xff, 0xc4})
	rows := []struct {
		name       string
		first      []byte
		second     []byte // what the host sends from the second request on
		chunked    bool   // the host does not announce a length
		announced  int    // length that it announces instead of the right one
		want       event.Reason
		wantStored bool
	}{
		{name: "C1 baseline JPEG", first: baseline, second: baseline, wantStored: true},
		{name: "C1 baseline JPEG without a length", first: baseline, second: baseline, chunked: true, wantStored: true},
		{name: "C1 other bytes", first: baseline, second: noisyJPEG(t), want: event.ReasonTruncated},
		{name: "C1 nine tenths, twice", first: baseline[:len(baseline)*9/10], second: baseline[:len(baseline)*9/10], want: event.ReasonTruncated},
		{name: "C1 whole, announced longer", first: baseline, second: baseline, announced: len(baseline) + 2, want: event.ReasonTruncated},
		{name: "C1 progressive JPEG", first: progressive, second: progressive, wantStored: true},
		{name: "C1 progressive JPEG, nine tenths", first: progressive[:len(progressive)*9/10], second: progressive[:len(progressive)*9/10], want: event.ReasonTruncated},
		{name: "C1 progressive JPEG, last scan missing", first: progressive[:lastScan], second: progressive[:lastScan], want: event.ReasonTruncated},
		{name: "C1 arithmetic JPEG", first: arithmetic, second: arithmetic, wantStored: true},
		{name: "C1 arithmetic JPEG without a length", first: arithmetic, second: arithmetic, chunked: true, want: event.ReasonTruncated},
		{name: "C1 GIF", first: moving, second: moving, wantStored: true},
		{name: "C1 GIF without a length", first: moving, second: moving, chunked: true, want: event.ReasonTruncated},
		{name: "C1 GIF, half", first: moving[:len(moving)/2], second: moving[:len(moving)/2], want: event.ReasonTruncated},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body := row.first
				if requests.Add(1) > 1 {
					body = row.second
				}
				w.Header().Set("Content-Length", strconv.Itoa(max(len(body), row.announced)))
				if row.chunked {
					w.Header().Del("Content-Length")
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = w.Write(body)
			}))
			defer host.Close()
			fx := newFixture(t, download.Config{})
			outcome, err := fx.handler.Handle(t.Context(), newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a"}`), 1))
			if row.wantStored {
				if err != nil || len(outcome.Artifacts) != 2 || outcome.Detail == "" {
					t.Errorf("outcome = %+v, error %v; want an image, a manifest and a note", outcome, err)
				}
				return
			}
			failed, ok := errors.AsType[*handler.Error](err)
			if !ok || failed.Reason != row.want || failed.Action != event.ActionRetry {
				t.Errorf("error = %+v, want a retry as %s", err, row.want)
			}
		})
	}
}

// An image as base64 text fails at once, and other text may be a page that passes.
func TestImageAsBase64(t *testing.T) {
	t.Parallel()
	file := noisyJPEG(t)
	plain := base64.StdEncoding.EncodeToString(file)
	var wrapped strings.Builder
	for line := range slices.Chunk([]byte(plain), 76) {
		wrapped.Write(line)
		wrapped.WriteString("\r\n")
	}
	rows := []struct {
		name, body string
		coding     string // Content-Encoding
		want       event.Action
	}{
		{name: "B2 base64", body: plain, want: event.ActionFail},
		{name: "B2 base64, named as the coding", body: plain, coding: "base64", want: event.ActionFail},
		{name: "B2 base64 in lines", body: wrapped.String(), want: event.ActionFail},
		{name: "B2 base64 of URLs, without padding", body: base64.RawURLEncoding.EncodeToString(file), want: event.ActionFail},
		{name: "B2 base64 of a tiny image", body: "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\n", want: event.ActionFail},
		{name: "B2 data URL", body: "data:image/jpeg;base64," + plain, want: event.ActionFail},
		{name: "B2 JSON string", body: strconv.Quote(plain), want: event.ActionFail},
		{name: "B2 base64 of a text", body: base64.StdEncoding.EncodeToString([]byte("The service is down.")), want: event.ActionRetry},
		{name: "B2 one word", body: "maintenance", want: event.ActionRetry},
		{name: "B2 page with an image in it", body: "<img src=data:image/jpeg;base64," + plain + ">", want: event.ActionRetry},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if row.coding != "" {
					w.Header().Set("Content-Encoding", row.coding)
				}
				_, _ = io.WriteString(w, row.body)
			}))
			defer host.Close()
			fx := newFixture(t, download.Config{})
			_, err := fx.handler.Handle(t.Context(), newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a"}`), 1))
			handlertest.WantError(t, err, row.want, event.ReasonWrongType)
			if got, want := strings.Contains(err.Error(), "base64 text of image/"), row.want == event.ActionFail; got != want {
				t.Errorf("error = %v, names base64 = %t, want %t", err, got, want)
			}
		})
	}
}

// withoutEnd returns the file without its last bytes.
func withoutEnd(file []byte, marker int) []byte {
	return file[:len(file)-marker]
}

func testFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "imagefile", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func noisyJPEG(t *testing.T) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for n := range picture.Pix {
		picture.Pix[n] = byte(n * n)
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, picture, nil); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// animation is a GIF of two images.
func animation(t *testing.T) []byte {
	t.Helper()
	frame := image.NewPaletted(image.Rect(0, 0, 40, 30), palette.Plan9)
	for n := range frame.Pix {
		frame.Pix[n] = byte(n * n)
	}
	var file bytes.Buffer
	if err := gif.EncodeAll(&file, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// B1 of the list of faults: a result that its host does not have yet is stored when it has.
func TestResultThatIsPublishedLate(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusGone} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, _ := fx.event(t, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: status, Times: 1}}})
			e.Received = time.Now()
			_, err := fx.handler.Handle(t.Context(), e)
			handlertest.WantError(t, err, event.ActionHold, event.ReasonExpired)
			if outcome := fx.handle(t, e); len(outcome.Artifacts) != 2 {
				t.Errorf("artifacts = %+v, want an image and a manifest", outcome.Artifacts)
			}
		})
	}
}

// C12 of the list of faults: a replay by a person stores again what is missing or changed in the bucket.
func TestReplayStoresWhatIsMissing(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		harm    func(path string) error
		recheck bool
		want    int // artifacts that are stored again
	}{
		{name: "nothing happened", harm: func(string) error { return nil }, recheck: true},
		{name: "deleted", harm: os.Remove, recheck: true, want: 1},
		{name: "shorter", harm: func(path string) error { return os.Truncate(path, 10) }, recheck: true, want: 1},
		{name: "other bytes of the same length", harm: flipLastByte, recheck: true, want: 1},
		{name: "deleted, an attempt without a replay", harm: os.Remove},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, _ := fx.event(t, fakevendortest.JobOptions{Width: 40, Height: 30})
			first, err := fx.handler.Handle(t.Context(), e)
			if err != nil || len(first.Artifacts) != 2 {
				t.Fatalf("outcome = %+v, error %v; want an image and a manifest", first, err)
			}
			if err := row.harm(filepath.Join(fx.folder, first.Artifacts[0].Key)); err != nil {
				t.Fatal(err)
			}
			e.Artifacts, e.Recheck = first.Artifacts, row.recheck
			again, err := fx.handler.Handle(t.Context(), e)
			if err != nil || len(again.Artifacts) != row.want {
				t.Fatalf("outcome = %+v, error %v; want %d artifacts", again, err, row.want)
			}
			for _, artifact := range again.Artifacts {
				content, err := os.ReadFile(filepath.Join(fx.folder, artifact.Key))
				if err != nil || artifact.SHA256 != first.Artifacts[0].SHA256 || int64(len(content)) != artifact.Bytes {
					t.Errorf("stored %+v with %d bytes, error %v; want the image of the first attempt", artifact, len(content), err)
				}
			}
		})
	}
}

// flipLastByte changes one bit of a file.
func flipLastByte(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[len(content)-1] ^= 1
	return os.WriteFile(path, content, 0o600)
}

// B3 of the list of faults: a text instead of the image is retried, and its start is in the detail, without secrets.
func TestTextInsteadOfAnImage(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		{name: "text", body: "the file is not ready\n\x1b[31myet", want: `"the file is not ready [31myet"`},
		{name: "JSON", body: `{"error": "not ready", "token": "s3cret"}`, want: "not ready"},
		{name: "broken JSON", body: `{"error": "not ready", "token": "s3cret"`, want: "not ready"},
		{name: "HTML", body: "<!DOCTYPE html><html><body>Please wait", want: "Please wait"},
		{name: "URL of the request", body: "no file at https://host/a.png?X-Amz-Signature=s3cret, sorry", want: "https://host/a.png"},
		{name: "path of the request", body: "no file at /a.png?X-Amz-Signature=s3cret", want: "no file at /a.png"},
		{name: "XML", body: `<?xml version="1.0"?><Error><Code>Busy</Code><Signature>s3cret</Signature></Error>`, want: "Busy"},
		{name: "header of the request", body: "rejected: Authorization: Bearer s3cret", want: "rejected"},
		{name: "long", body: strings.Repeat("é", 500), want: `"` + strings.Repeat("é", 200) + `…"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for status, reason := range map[int]event.Reason{http.StatusOK: event.ReasonWrongType, http.StatusBadGateway: event.ReasonServerError} {
				host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					_, _ = w.Write([]byte(row.body))
				}))
				t.Cleanup(host.Close)
				fx := newFixture(t, download.Config{})
				_, err := fx.handler.Handle(t.Context(), newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a.png"}`), 1))
				got := handlertest.WantError(t, err, event.ActionRetry, reason)
				if detail := got.Error(); !strings.Contains(detail, row.want) || strings.Contains(detail, "s3cret") || strings.Contains(detail, "\x1b") {
					t.Errorf("status %d: detail = %q, want %s in it, no secret and no control character", status, detail, row.want)
				}
			}
		})
	}
}

// C10 of the list of faults: modes let the owner in and others not write.
func TestModesAreValidated(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		file, folder configtypes.Mode
		want         string // variable; "" for none
	}{
		{name: "C10 none"},
		{name: "C10 for a web server", file: 0o644, folder: 0o755},
		{name: "C10 group with set-group-id", file: 0o660, folder: 0o2770},
		{name: "C10 owner cannot write", file: 0o440, want: "FILE_MODE"},
		{name: "C10 owner cannot read", file: 0o240, want: "FILE_MODE"},
		{name: "C10 world-writable", file: 0o666, want: "FILE_MODE"},
		{name: "C10 executable", file: 0o755, want: "FILE_MODE"},
		{name: "C10 owner cannot enter", folder: 0o650, want: "FOLDER_MODE"},
		{name: "C10 world-writable folder", folder: 0o777, want: "FOLDER_MODE"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := download.Config{FileMode: row.file, FolderMode: row.folder}.Validate()
			conflict, ok := errors.AsType[*configtypes.Conflict](err)
			if row.want == "" && err != nil || row.want != "" && (!ok || conflict.Name != row.want) {
				t.Errorf("error = %v, want one about %q", err, row.want)
			}
		})
	}
}
