package blobstore

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"
)

// Open opens the bucket at rawURL. These are supported:
//
//	file:///absolute/folder, file://./folder below the working directory; made when it is missing
//	s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION&path_style=true
//	gs://BUCKET/PREFIX?endpoint=https://HOST:PORT
//	azblob://CONTAINER/PREFIX?account=ACCOUNT&endpoint=https://HOST:PORT/PATH
//
// A prefix and every parameter can be left out. Credentials are never in the URL:
// they are looked for where the tools of each service look for them. Nothing is
// asked of a service yet; see Bucket.Check for that. Errors do not repeat rawURL,
// which may hold credentials all the same.
func Open(ctx context.Context, rawURL string, given ...Option) (Bucket, error) {
	chosen := defaultOptions()
	for _, option := range given {
		option(&chosen)
	}
	parsed, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return parsed.open(ctx, chosen)
}

// CheckURL returns an error unless Open accepts rawURL. The error does not repeat it.
func CheckURL(rawURL string) error {
	_, err := parse(rawURL)
	return err
}

// opener is the parsed URL of a bucket.
type opener interface {
	open(ctx context.Context, chosen options) (Bucket, error)
}

func parse(rawURL string) (opener, error) {
	address, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("blobstore: the bucket is not a URL such as file:///var/lib/images")
	}
	switch address.Scheme {
	case "file":
		return parseFile(address)
	case schemeS3:
		return parseS3(address)
	case schemeGCS:
		return parseGCS(address)
	case schemeAzure:
		return parseAzure(address)
	}
	return nil, fmt.Errorf("blobstore: the scheme %q of the bucket URL is not supported; file://, s3://, gs:// and azblob:// are", address.Scheme)
}

// Option changes how Open opens a bucket.
type Option func(*options)

type options struct {
	spoolFolder string         // "" if none was given
	roots       *x509.CertPool // certificate authorities; nil for the system's
	limits      limits
	warn        func(error) // nil for no warnings
	modes       modes
}

// WithWarnings sets what is called once if the file system of a bucket refuses to sync folders: a crash of the machine can
// then lose the names of objects.
func WithWarnings(warn func(error)) Option {
	return func(o *options) { o.warn = warn }
}

// WithModes sets the permissions of the files and folders of a bucket that is a folder, whatever the umask. Zero leaves the
// defaults, from which the umask can take away.
func WithModes(file, folder fs.FileMode) Option {
	return func(o *options) { o.modes = modes{file: file, folder: folder} }
}

// modes are the permissions that files and folders get, whatever the umask; 0 for the defaults.
type modes struct{ file, folder fs.FileMode }

// WithSpoolFolder sets the local folder for content on its way to an object store. It is created if it is missing. Several
// buckets and processes may share it. A bucket that is a folder spools in itself.
func WithSpoolFolder(path string) Option {
	return func(o *options) { o.spoolFolder = path }
}

// limits are the sizes and times that are not configurable.
type limits struct {
	single  int64         // bytes of the largest object that goes up in one request
	part    int64         // bytes of each part of a larger one
	stall   time.Duration // time without data in either direction
	retries int           // attempts of one request
}

func defaultOptions() options {
	return options{limits: limits{
		// The condition that nothing is overwritten is known to more services for a
		// single request than for the end of one in parts. 5 GiB is what they allow.
		single: 1 << 30,
		// 1,024 parts for the largest object; services allow 10,000.
		part:    64 << 20,
		stall:   time.Minute,
		retries: 4,
	}}
}
