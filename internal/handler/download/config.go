package download

import (
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Config sets where images go and how large they may be.
type Config struct {
	BucketURL   string           `envconfig:"BUCKET_URL" unset:"file:// and DATA_DIR/images" desc:"where images are stored: file:///var/lib/images, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or azblob://CONTAINER/PREFIX; the manual has their parameters"`
	KeyTemplate Template         `envconfig:"KEY_TEMPLATE" default:"{date}/{job}/{name}" desc:"path of an image in the bucket, of {date} {year} {month} {day} (received, UTC) {job} {event} {reference} {input} {name} {index} {ext}; unsafe parts are changed and marked with a hash"`
	MaxBytes    configtypes.Size `envconfig:"MAX_BYTES" default:"1GiB" range:"1KiB..64GiB" desc:"maximum size of an image"`
	MaxPixels   int64            `envconfig:"MAX_PIXELS" default:"500000000" range:"1..1000000000000" desc:"maximum number of pixels (width times height) of an image"`
	FileMode    configtypes.Mode `envconfig:"FILE_MODE" unset:"0640 without the bits of the umask" desc:"permissions of images in a folder, in octal digits whatever the umask, such as 0644 for a web server of another group; owners can read and write"`
	FolderMode  configtypes.Mode `envconfig:"FOLDER_MODE" unset:"0750 without the bits of the umask" desc:"permissions of folders that are made for images, in octal digits whatever the umask, such as 0755; owners can read, write and enter"`
	LinkExpiry  time.Duration    `envconfig:"LINK_EXPIRY" default:"24h" range:"1m..168h" desc:"lifetime of the signed image links in notifications, if the bucket supports them"`
	Timeout     time.Duration    `envconfig:"TIMEOUT" default:"10m" range:"1s..24h" desc:"timeout of one attempt, for all images of an event"`
	Concurrency int              `envconfig:"CONCURRENCY" default:"8" range:"1..1024" desc:"maximum number of events downloaded at the same time; slow hosts hold at most two thirds of them, and their other events wait; with 1 another event is downloaded beside a slow one"`
}

// Validate returns an error if the URL of the bucket or a mode is not valid.
func (c Config) Validate() error {
	if conflict := checkMode("FILE_MODE", c.FileMode, 0o600, 0o664); conflict != nil {
		return conflict
	}
	if conflict := checkMode("FOLDER_MODE", c.FolderMode, 0o700, 0o2775); conflict != nil {
		return conflict
	}
	if c.BucketURL == "" {
		return nil
	}
	if err := blobstore.CheckURL(c.BucketURL); err != nil {
		return &configtypes.Conflict{Name: "BUCKET_URL", Text: "cannot be used: " + strings.TrimPrefix(err.Error(), "blobstore: ")}
	}
	return nil
}

// checkMode returns an error unless a mode has all bits of least and none outside of most. Zero is no mode.
func checkMode(name string, mode, least, most configtypes.Mode) error {
	switch {
	case mode == 0, mode&least == least && mode&^most == 0:
		return nil
	case mode&least != least:
		return &configtypes.Conflict{Name: name, Text: "must have at least the bits " + least.String() + ", or the receiver cannot use what it stores"}
	default:
		return &configtypes.Conflict{Name: name, Text: "must have no bits but those of " + most.String() + ": others must not change what is stored"}
	}
}

// KeepsImages returns true: the images are in the bucket.
func (Config) KeepsImages() bool { return true }

// Limits returns the bounds of the step.
func (c Config) Limits() handler.Limits {
	return handler.Limits{Concurrency: max(c.Concurrency, fewestSteps), Timeout: c.Timeout}
}

// fewestSteps run at the same time, so that a slow host holds up no other.
const fewestSteps = 2

// shares returns the shares of the transfers.
func (c Config) shares() *fetch.Shares {
	if c.Concurrency < fewestSteps {
		return fetch.NewSingleShares()
	}
	return fetch.NewShares(c.Concurrency)
}
