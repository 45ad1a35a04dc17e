package main

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
	// maxSubmission bounds a request, in bytes. Deep Image takes 32 MiB, and the callback echoes it with more around it.
	maxSubmission = 30 << 20
	// maxImages bounds what one command submits.
	maxImages = 100_000
	// maxToldFaults is how many files that are no good are named.
	maxToldFaults = 20
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

// finder looks at all sources before anything is sent.
type finder struct {
	template []byte
	found    []image
	faults   []string // of files that are no good
}

// find gives the images of all sources, or tells every fault at once.
func (f *finder) find(ctx context.Context, sources []string) ([]image, error) {
	for _, source := range sources {
		if u, err := url.Parse(source); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			f.found = append(f.found, image{source: source})
			continue
		}
		if err := f.walk(ctx, source); err != nil {
			return nil, err
		}
	}
	if len(f.faults) > 0 {
		told := f.faults[:min(len(f.faults), maxToldFaults)]
		if more := len(f.faults) - len(told); more > 0 {
			told = append(told, fmt.Sprintf("and %d more", more))
		}
		return nil, wrongUsage("nothing was submitted, because of\n  %s", strings.Join(told, "\n  "))
	}
	return f.found, nil
}

// walk adds the file of that name, or all images below the folder of that name.
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
			err = wrongUsage("there are more than %d images; submit them in parts", maxImages)
		}
		isHidden := strings.HasPrefix(entry.Name(), ".") && filepath.Clean(path) != filepath.Clean(root)
		switch {
		case err != nil:
			return err
		case isHidden && entry.IsDir():
			return filepath.SkipDir
		case isHidden:
			return nil
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // also behind a link
			f.add(path, info.Size(), true)
		}
		return nil
	})
	if err == nil && len(f.found)+len(f.faults) == before {
		err = wrongUsage("there is no image in %s", root)
	}
	return err
}

// add makes sure that a file is an image, whole, and not too long to be sent. One in a folder may also be something else.
func (f *finder) add(path string, size int64, inFolder bool) {
	err := examineImage(path, size)
	switch {
	case inFolder && errors.Is(err, imagefile.ErrUnknown):
	case err != nil:
		f.faults = append(f.faults, printable(path)+": "+strings.TrimPrefix(err.Error(), "imagefile: "))
	case requestLength(size, f.template) > maxSubmission:
		f.faults = append(f.faults, printable(path)+": the file has more than 22 MB; give a URL of it")
	default:
		f.found = append(f.found, image{source: path, isFile: true, size: size})
	}
}

func examineImage(path string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read from
	_, err = imagefile.Inspect(file, size)
	return err
}

const requestHead, requestTail = `{"url":"` + inlinePrefix, `"`

func requestLength(size int64, template []byte) int64 {
	return int64(len(requestHead)+base64.StdEncoding.EncodedLen(int(size))+len(requestTail)+len(template)) + 1
}

// requestBody is a request that counts what has been read of it.
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

// open gives the request for an image and its length. A file is read while it is sent.
func (i image) open(template []byte) (body *requestBody, length int64, err error) {
	if !i.isFile {
		address, err := json.Marshal(i.source)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", i.source, err)
		}
		text := fmt.Sprintf(`{"url":%s%s}`, address, template)
		return &requestBody{Reader: strings.NewReader(text), Closer: io.NopCloser(nil)}, int64(len(text)), nil
	}
	file, err := os.Open(i.source)
	if err != nil {
		return nil, 0, err
	}
	encoded, pipe := io.Pipe()
	go encode(pipe, file)
	tail := append(append([]byte(requestTail), template...), '}')
	reader := io.MultiReader(strings.NewReader(requestHead), encoded, bytes.NewReader(tail))
	return &requestBody{Reader: reader, Closer: encoded}, requestLength(i.size, template), nil
}

// hasChanged says whether the file is no longer as long as it was.
func (i image) hasChanged() bool {
	if !i.isFile {
		return false
	}
	info, err := os.Stat(i.source)
	return err != nil || info.Size() != i.size
}

// encode ends when all is written, or when the reader is closed.
func encode(pipe *io.PipeWriter, file *os.File) {
	encoder := base64.NewEncoder(base64.StdEncoding, pipe)
	_, err := io.Copy(encoder, file)
	_ = pipe.CloseWithError(errors.Join(err, encoder.Close(), file.Close()))
}
