package adminclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

const (
	// maxSubmission bounds a request, in bytes. Deep Image accepts 32 MiB, and the callback echoes the request with more around it.
	maxSubmission = 30 << 20
	// maxImages bounds what one command submits.
	maxImages = 100_000
	// maxListedFaults is how many unusable files an error names.
	maxListedFaults = 20
	// inlinePrefix precedes the content of an image in a request, as Deep Image documents it.
	inlinePrefix = "base64,"
)

// Image is an image to submit: a URL or a file.
type Image struct {
	Source string // as the user named it
	isFile bool
	size   int64 // of the file, in bytes
}

// Request is the request to process an image, without the image: members of a JSON object such as `,"width":2000`, or nothing.
type Request []byte

// NewRequest returns the members of the JSON object text, if it is not empty, with width and height, if they are not empty.
func NewRequest(text []byte, width, height string) (Request, error) {
	members := map[string]json.RawMessage{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &members); err != nil || members == nil {
			return nil, badInput("--request must be a JSON object")
		}
		if _, ok := members["url"]; ok {
			return nil, badInput("--request must not have the member url; it is set for each image")
		}
	}
	for name, value := range map[string]string{"width": width, "height": height} {
		if value == "" {
			continue
		}
		size, err := deepimage.Size(value)
		if err != nil {
			return nil, badInput("--%s must be a number of pixels or a percentage, such as 2000 or 200%%", name)
		}
		members[name] = json.RawMessage(size)
	}
	encoded, err := json.Marshal(members)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	return append([]byte{','}, encoded[1:len(encoded)-1]...), nil
}

// finder checks all sources before anything is submitted.
type finder struct {
	request Request
	found   []Image
	faults  []string // of unusable files
}

// FindImages returns the images of all sources: URLs, files, and folders with everything below them. An InputError
// lists every unusable file.
func FindImages(ctx context.Context, sources []string, request Request) ([]Image, error) {
	f := finder{request: request}
	for _, source := range sources {
		if u, err := url.Parse(source); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			f.found = append(f.found, Image{Source: source})
			continue
		}
		if err := f.walk(ctx, source); err != nil {
			return nil, err
		}
	}
	if len(f.faults) > 0 {
		listed := f.faults[:min(len(f.faults), maxListedFaults)]
		if more := len(f.faults) - len(listed); more > 0 {
			listed = append(listed, fmt.Sprintf("and %d more", more))
		}
		return nil, badInput("nothing was submitted because of\n  %s", strings.Join(listed, "\n  "))
	}
	return f.found, nil
}

// walk adds the file root, or all images below the folder root.
func (f *finder) walk(ctx context.Context, root string) error {
	info, err := os.Stat(root)
	if err != nil {
		f.faults = append(f.faults, err.Error())
		return nil
	}
	if !info.IsDir() {
		f.add(root, info.Size(), false)
		return nil
	}
	before := len(f.found) + len(f.faults)
	err = filepath.WalkDir(root+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && len(f.found) > maxImages {
			err = badInput("there are more than %d images; submit them in several commands", maxImages)
		}
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), "."); hidden && filepath.Clean(path) != filepath.Clean(root) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // also behind a link
			f.add(path, info.Size(), true)
		}
		return nil
	})
	if err == nil && len(f.found)+len(f.faults) == before {
		err = badInput("there is no image in %s", root)
	}
	return err
}

// add checks that a file is a complete image and not too long to be sent. A file in a folder may also be something else.
func (f *finder) add(path string, size int64, inFolder bool) {
	err := inspect(path, size)
	switch {
	case inFolder && errors.Is(err, imagefile.ErrUnknown):
	case err != nil:
		f.faults = append(f.faults, path+": "+strings.TrimPrefix(err.Error(), "imagefile: "))
	case requestLength(size, f.request) > maxSubmission:
		f.faults = append(f.faults, path+": the file is larger than 22 MB; submit a URL of it instead")
	default:
		f.found = append(f.found, Image{Source: path, isFile: true, size: size})
	}
}

func inspect(path string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read from
	_, err = imagefile.Inspect(file, size)
	return err
}

const requestHead, requestTail = `{"url":"` + inlinePrefix, `"`

func requestLength(size int64, r Request) int64 {
	return int64(len(requestHead)+base64.StdEncoding.EncodedLen(int(size))+len(requestTail)+len(r)) + 1
}

// requestBody counts the bytes that were read of it.
type requestBody struct {
	io.Reader
	io.Closer
	read atomic.Int64 // bytes
}

// Read reads the next part.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read.Add(int64(n))
	return n, err
}

// open returns the whole request for an image and its length in bytes. A file is read while the request is sent.
func (i Image) open(r Request) (body *requestBody, length int64, err error) {
	if !i.isFile {
		address, err := json.Marshal(i.Source)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", i.Source, err)
		}
		text := fmt.Sprintf(`{"url":%s%s}`, address, r)
		return &requestBody{Reader: strings.NewReader(text), Closer: io.NopCloser(nil)}, int64(len(text)), nil
	}
	file, err := os.Open(i.Source)
	if err != nil {
		return nil, 0, err
	}
	encoded, pipe := io.Pipe()
	go encode(pipe, file)
	tail := append(append([]byte(requestTail), r...), '}')
	reader := io.MultiReader(strings.NewReader(requestHead), encoded, bytes.NewReader(tail))
	return &requestBody{Reader: reader, Closer: encoded}, requestLength(i.size, r), nil
}

// hasChanged reports whether the file has another length than before.
func (i Image) hasChanged() bool {
	if !i.isFile {
		return false
	}
	info, err := os.Stat(i.Source)
	return err != nil || info.Size() != i.size
}

// encode writes the file as base64. It ends when all is written, or when the reader is closed.
func encode(pipe *io.PipeWriter, file *os.File) {
	encoder := base64.NewEncoder(base64.StdEncoding, pipe)
	_, err := io.Copy(encoder, file)
	_ = pipe.CloseWithError(errors.Join(err, encoder.Close(), file.Close()))
}
