package fakevendor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Shape is how a callback says where the images are.
type Shape int

// Every shape of a callback. Only ResultURL is documented by the vendor.
const (
	ResultURL     Shape = iota // result_url is the address, results is null
	ResultStrings              // result_url is null, results is a list of addresses
	ResultObjects              // result_url is null, results is a list of {"result_url": address}
	ResultMap                  // result_url is null, results is an object of addresses
	ResultStorage              // result_url is storage://..., results is null
	ResultMissing              // both are null
)

// The bounds and defaults of a job.
const (
	maxImages     = 64
	defaultWidth  = 320
	defaultHeight = 200
)

// JobOptions describe a job; the zero value is one PNG of 320 by 200 pixels, delivered as documented.
type JobOptions struct {
	ID     string // "" makes a version 1 UUID
	Images int    // how many; 0 is 1
	Format Format // "" is PNG
	Width  int    // pixels; 0 is 320
	Height int    // pixels; 0 is 200
	// Bytes asks for a PNG of about this length instead of Width and Height. It
	// is made while it is sent and takes no memory.
	Bytes int64
	// Seed chooses the picture; 0 derives one from the job's id. Equal seeds, formats
	// and sizes give equal files, which are made once.
	Seed uint64

	FileName string // the last segment of the images' addresses, escaped by us; "" is a UUID and the extension
	Query    string // appended to the images' addresses, as a signed query would be
	NoETag   bool   // the host sends no validator, so that a broken transfer cannot be resumed
	// Middleware wraps the handler of each image, numbered from 0, so that it can fail; nil changes nothing.
	Middleware func(image int, next http.Handler) http.Handler

	Shape   Shape
	Results json.RawMessage // replaces what Shape sets as results
	Data    json.RawMessage // echoed as data; nil is a small request
}

// Job is a finished job: the content of its callback, and what its images must be.
type Job struct {
	ID        string
	ResultURL string // of the first image
	Images    []Image
	options   JobOptions
}

// Image is one file on the image host.
type Image struct {
	URL    string
	Format Format
	Bytes  int64
	SHA256 string // 64 lower-case hexadecimal digits
	Width  int    // pixels
	Height int    // pixels
}

// hosted is a file on the image host.
type hosted struct {
	Image
	etag     string
	handler  http.Handler
	requests atomic.Int64
}

// NewJob creates a job and hosts its images. The error says which option is invalid, that the id is taken, or that
// there are too many images.
func (v *Vendor) NewJob(options JobOptions) (Job, error) {
	if err := options.complete(v.identity.next); err != nil {
		return Job{}, fmt.Errorf("fakevendor: new job: %w", err)
	}
	job := Job{ID: options.ID, options: options}
	files := make(map[string]*hosted, options.Images)
	for n := range options.Images {
		path, file, err := v.newImage(options, n)
		if err != nil {
			return Job{}, fmt.Errorf("fakevendor: new job: %w", err)
		}
		job.Images = append(job.Images, file.Image)
		files[path] = file
	}
	job.ResultURL = job.Images[0].URL
	return job, v.host(job, files)
}

func (v *Vendor) host(job Job, files map[string]*hosted) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if len(v.images)+len(files) > maxHosted {
		return errors.New("fakevendor: new job: too many images")
	}
	for path := range files {
		if v.images[path] != nil {
			return fmt.Errorf("fakevendor: new job: the id %q is taken", job.ID)
		}
	}
	maps.Copy(v.images, files)
	return nil
}

func (v *Vendor) newImage(options JobOptions, n int) (path string, made *hosted, err error) {
	wanted := picture{options.Format, options.Width, options.Height, options.Bytes, options.Seed + uint64(n)}
	made = &hosted{handler: v.serveContent(wanted)}
	if options.Middleware != nil {
		made.handler = options.Middleware(n, made.handler)
	}
	content, err := v.contents.get(wanted)
	if err != nil {
		return "", nil, err
	}
	sum := content.sum()
	width, height := content.dimensions()
	if !options.NoETag {
		made.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	}
	path = imagePath(options, n)
	made.Image = Image{
		URL:    v.url + (&url.URL{Path: path, RawQuery: options.Query}).String(),
		Format: options.Format, Bytes: content.size(), SHA256: hex.EncodeToString(sum[:]), Width: width, Height: height,
	}
	return path, made, nil
}

func imagePath(options JobOptions, n int) string {
	path := "/images/" + time.Now().UTC().Format(time.DateOnly) + "/" + fileID(options.ID, n)
	if options.FileName != "" {
		return path + "/" + options.FileName
	}
	return path + "." + options.Format.extension()
}

// complete fills in what was left out and refuses what makes no sense.
func (o *JobOptions) complete(newID func() string) error {
	o.fill(newID)
	switch {
	case o.Images < 0 || o.Images > maxImages:
		return fmt.Errorf("%d images are not 1 to %d", o.Images, maxImages)
	case o.Images > 1 && o.Shape == ResultURL:
		return errors.New("several images need a shape with results")
	case strings.Contains(o.FileName, "/"):
		return errors.New("the file name has a slash")
	case o.Data != nil && !json.Valid(o.Data), o.Results != nil && !json.Valid(o.Results):
		return errors.New("data or results is not JSON")
	}
	return checkPicture(o.Format, o.Width, o.Height, o.Bytes)
}

func (o *JobOptions) fill(newID func() string) {
	if o.ID == "" {
		o.ID = newID()
	}
	if o.Seed == 0 {
		sum := sha256.Sum256([]byte(o.ID))
		o.Seed = binary.BigEndian.Uint64(sum[:])
	}
	o.Images = orDefault(o.Images, 1)
	o.Format = orDefault(o.Format, PNG)
	o.Width = orDefault(o.Width, defaultWidth)
	o.Height = orDefault(o.Height, defaultHeight)
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Requests counts how often the host was asked for an image, by its address.
func (v *Vendor) Requests(imageURL string) int64 {
	parsed, err := url.Parse(imageURL)
	if err != nil {
		return 0
	}
	if file := v.image(parsed.Path); file != nil {
		return file.requests.Load()
	}
	return 0
}

func (v *Vendor) image(path string) *hosted {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	return v.images[path]
}
