package admin_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// smallImage is a PNG of 30 by 20 pixels.
func smallImage(t *testing.T) string {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	picture.Set(0, 0, color.NRGBA{1, 2, 3, 255})
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

// deepHeader is the header of a PNG with 16 bits for each colour, which takes twice the memory.
func deepHeader(width, height uint32) string {
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), width), height)
	header = append(header, 16, 2, 0, 0, 0)
	return "\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + string(binary.BigEndian.AppendUint32(header, crc32.ChecksumIEEE(header)))
}

// The page of an event has a thumbnail or the text that there is none, as far as that is known.
func TestPageAndThumbnailAgree(t *testing.T) {
	t.Parallel()
	const address = "/events/" + eventID
	rows := []struct {
		name, mediaType, content string
		width, height            int
		first                    bool // the first view has a thumbnail
		exists                   bool // there is a thumbnail
		opened                   int64
	}{
		{name: "image", mediaType: "image/png", content: smallImage(t), width: 30, height: 20, first: true, exists: true, opened: 1},
		{name: "16 bits, unknown at first", mediaType: "image/png", content: deepHeader(5000, 5000), width: 5000, height: 5000, first: true, opened: 1},
		{name: "too large", mediaType: "image/png", content: smallImage(t), width: 6000, height: 6000},
		{name: "unsupported type", mediaType: "image/avif", content: "avif", width: 30, height: 20},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			held := openStores(t)
			held.content = row.content
			held.addArtifact(t, event.Artifact{Key: "a", MediaType: row.mediaType, SHA256: strings.Repeat("ab", 32), Width: row.width, Height: row.height})
			deps := held.deps()
			var err error
			if deps.Thumbnails, err = thumbnail.New(t.TempDir()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = deps.Thumbnails.Close() })
			handler := serve(t, "", deps)
			for n, want := range []bool{row.first, row.exists, row.exists} {
				shown := page(t, handler, address)
				image, text := strings.Contains(shown, address+`/artifacts/0/thumbnail"`), strings.Contains(shown, `<span class="toolarge">`)
				if image != want || text == want {
					t.Errorf("view %d: thumbnail %t, text %t; want %t, %t", n, image, text, want, !want)
				}
				got := ask(handler, "GET", address+"/artifacts/0/thumbnail", nil).StatusCode
				if (got == http.StatusOK) != row.exists {
					t.Errorf("view %d: status = %d, want 200: %t", n, got, row.exists)
				}
			}
			if got := held.opened.Load(); got != row.opened {
				t.Errorf("opened %d times, want %d", got, row.opened)
			}
		})
	}
}
