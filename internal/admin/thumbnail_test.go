package admin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// countedShelf counts how often its file is opened.
type countedShelf struct {
	shelf
	opened atomic.Int64
}

func (c *countedShelf) Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error) {
	c.opened.Add(1)
	return c.shelf.Open(ctx, artifact)
}

func (c *countedShelf) Load(ctx context.Context, id event.ID) (admin.Event, error) {
	found, err := c.shelf.Load(ctx, id)
	found.ID = id
	return found, err
}

func (c *countedShelf) Body(context.Context, event.ID) ([]byte, error) { return []byte("{}"), nil }

// gallery is the door before a shelf, with thumbnails.
func gallery(t *testing.T, held *countedShelf) http.Handler {
	t.Helper()
	thumbnails, err := thumbnail.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = thumbnails.Close() })
	return doorTo(t, admin.Config{Addr: "127.0.0.1:0"}, admin.Deps{
		Targets: noTargets{}, Quarantine: noQuarantine{}, Events: held, Artifacts: held, Thumbnails: thumbnails, Redact: event.Redact,
	})
}

// small is a picture.
func small(t *testing.T) string {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	picture.Set(0, 0, color.NRGBA{1, 2, 3, 255})
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

// fine is the header of a picture with 16 bits for each colour, which takes twice the memory.
func fine(width, height uint32) string {
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), width), height)
	header = append(header, 16, 2, 0, 0, 0)
	return "\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + string(binary.BigEndian.AppendUint32(header, crc32.ChecksumIEEE(header)))
}

// The page of an event shows a thumbnail where there is one, and says so where it is known that there is none.
func TestPageAndThumbnailAgree(t *testing.T) {
	t.Parallel()
	const address = "/events/00000000-0000-7000-8000-000000000000"
	rows := []struct {
		name, mediaType, content string
		width, height            int
		promised, there          bool // on the first view
		fetches                  int64
	}{
		{"picture", "image/png", small(t), 30, 20, true, true, 1},
		{"16 bits, which is not known before", "image/png", fine(5000, 5000), 5000, 5000, true, false, 1},
		{"too large", "image/png", small(t), 6000, 6000, false, false, 0},
		{"of a kind that is not read", "image/avif", "avif", 30, 20, false, false, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			held := &countedShelf{shelf: shelf{content: row.content, artifact: event.Artifact{
				Key: "a", MediaType: row.mediaType, SHA256: strings.Repeat("ab", 32), Width: row.width, Height: row.height,
			}}}
			router := gallery(t, held)
			for _, promised := range []bool{row.promised, row.there, row.there} {
				page, err := io.ReadAll(ask(router, "GET", address, nil).Body)
				if err != nil {
					t.Fatal(err)
				}
				shown := bytes.Contains(page, []byte(address+`/artifacts/0/thumbnail"`))
				if said := bytes.Contains(page, []byte(`<span class="toolarge">No preview of`)); shown != promised || said == promised {
					t.Errorf("a picture: %v, said that there is none: %v", shown, said)
				}
				if answer := ask(router, "GET", address+"/artifacts/0/thumbnail", nil); (answer.StatusCode == http.StatusOK) != row.there {
					t.Errorf("answered %d", answer.StatusCode)
				}
			}
			if held.opened.Load() != row.fetches {
				t.Errorf("opened %d times", held.opened.Load())
			}
		})
	}
}
