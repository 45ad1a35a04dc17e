package main

import (
	"bytes"
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

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

const (
	// maxSubmission bounds a request, in bytes; it is what Deep Image documents, less room for the webhook.
	maxSubmission = 32<<20 - 4096
	// maxImages bounds what one command submits.
	maxImages = 100_000
	// inlinePrefix is how a request carries the image itself; documented.
	inlinePrefix = "base64,"
)

// image is one that is to be submitted: at a URL, or in a file.
type image struct {
	source string // as a person knows it
	isFile bool
	size   int64 // of the file, in bytes
}

// template is the request without url, as the members of an object: `,"width":2000` or nothing.
func (o submitOptions) template(stdin io.Reader) ([]byte, error) {
	members := map[string]json.RawMessage{}
	if o.requestFile != "" {
		text, err := readInput("--request", o.requestFile, stdin)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &members); err != nil || members == nil {
			return nil, wrongUsage("--request: %s holds no JSON object", o.requestFile)
		}
		if _, has := members["url"]; has {
			return nil, wrongUsage("--request: leave url out; it is made of the images that are named")
		}
	}
	for name, value := range map[string]string{"width": o.width, "height": o.height} {
		if value == "" {
			continue
		}
		size, err := deepimage.Size(value)
		if err != nil {
			return nil, wrongUsage("--%s must be a number of pixels or percent, such as 2000 or 200%%", name)
		}
		members[name] = json.RawMessage(size)
	}
	text, err := json.Marshal(members)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	return append([]byte{','}, text[1:len(text)-1]...), nil
}

// findImages looks at all sources before anything is sent.
func findImages(sources []string, template []byte) ([]image, error) {
	var found []image
	for _, source := range sources {
		if u, err := url.Parse(source); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			found = append(found, image{source: source})
			continue
		}
		files, err := findFiles(source, template)
		if err != nil {
			return nil, err
		}
		found = append(found, files...)
	}
	if len(found) > maxImages {
		return nil, wrongUsage("there are %d images, more than the %d that one command submits", len(found), maxImages)
	}
	return found, nil
}

// findFiles gives the file of that name, or all images below the folder of that name.
func findFiles(root string, template []byte) (found []image, err error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, wrongUsage("%s", err)
	}
	if !info.IsDir() {
		one, err := examineImage(root, template)
		return []image{one}, err
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		isHidden := strings.HasPrefix(entry.Name(), ".") && path != root
		switch {
		case err != nil:
			return err
		case isHidden && entry.IsDir():
			return filepath.SkipDir
		case isHidden || !entry.Type().IsRegular():
			return nil
		}
		one, err := examineImage(path, template)
		if errors.Is(err, imagefile.ErrUnknown) {
			return nil // it is something else
		}
		found = append(found, one)
		return err
	})
	if err != nil {
		return nil, wrongUsage("%s", err)
	}
	if len(found) == 0 {
		return nil, wrongUsage("there is no image in %s", root)
	}
	return found, nil
}

// examineImage makes sure that a file is an image, whole, and not too long to be sent. An error of something that is no image
// is imagefile.ErrUnknown.
func examineImage(path string, template []byte) (image, error) {
	file, err := os.Open(path)
	if err != nil {
		return image{}, wrongUsage("%s", err)
	}
	defer file.Close() //nolint:errcheck // only read from
	info, err := file.Stat()
	if err != nil {
		return image{}, wrongUsage("%s", err)
	}
	if _, err := imagefile.Inspect(file, info.Size()); err != nil {
		return image{}, &imageError{path: path, err: err}
	}
	if length := requestLength(info.Size(), template); length > maxSubmission {
		return image{}, wrongUsage("%s: Deep Image takes image files of up to 24 MB only; give a URL of it", path)
	}
	return image{source: path, isFile: true, size: info.Size()}, nil
}

// imageError says what is wrong with a file that should be an image.
type imageError struct {
	path string
	err  error
}

func (e *imageError) Error() string {
	return printable(e.path) + ": " + strings.TrimPrefix(e.err.Error(), "imagefile: ")
}

func (e *imageError) Unwrap() error { return e.err }

const requestHead, requestTail = `{"url":"` + inlinePrefix, `"`

func requestLength(size int64, template []byte) int64 {
	return int64(len(requestHead)+base64.StdEncoding.EncodedLen(int(size))+len(requestTail)+len(template)) + 1
}

// open gives the request for an image and its length. A file is read while it is sent.
func (i image) open(template []byte) (body io.ReadCloser, length int64, err error) {
	if !i.isFile {
		address, err := json.Marshal(i.source)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", i.source, err)
		}
		text := fmt.Sprintf(`{"url":%s%s}`, address, template)
		return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
	}
	file, err := os.Open(i.source)
	if err != nil {
		return nil, 0, err
	}
	encoded, pipe := io.Pipe()
	go encode(pipe, file)
	tail := append(append([]byte(requestTail), template...), '}')
	reader := io.MultiReader(strings.NewReader(requestHead), encoded, bytes.NewReader(tail))
	return struct {
		io.Reader
		io.Closer
	}{reader, encoded}, requestLength(i.size, template), nil
}

// encode ends when all is written, or when the reader is closed.
func encode(pipe *io.PipeWriter, file *os.File) {
	encoder := base64.NewEncoder(base64.StdEncoding, pipe)
	_, err := io.Copy(encoder, file)
	_ = pipe.CloseWithError(errors.Join(err, encoder.Close(), file.Close()))
}
