package blobstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

func fileURL(absolute string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}).String()
}

// fileFolder is the absolute path of a folder that is a bucket.
type fileFolder string

func (f fileFolder) open(ctx context.Context, chosen options) (Bucket, error) {
	return openFileBucket(ctx, string(f), chosen)
}

// parseFile returns the folder that a file URL names. The host is empty or
// localhost (RFC 8089), or "." for a path below the working directory.
func parseFile(written *url.URL) (opener, error) {
	extra := written.RawQuery != "" || written.Fragment != "" || written.User != nil || written.Opaque != ""
	switch {
	case extra, strings.ContainsRune(written.Path, 0):
		return nil, errors.New("blobstore: a file URL is a plain path such as file:///var/lib/images or file://./images")
	case strings.Trim(written.Path, "/") == "":
		return nil, errors.New("blobstore: the file URL names no folder; file:///var/lib/images would")
	}
	switch written.Host {
	case "", "localhost":
		return fileFolder(filepath.Clean(filepath.FromSlash(written.Path))), nil
	case ".":
		folder, err := filepath.Abs(filepath.FromSlash("." + written.Path))
		return fileFolder(folder), err
	}
	return nil, fmt.Errorf("blobstore: file://%s... names another host; an absolute path has three slashes, file:///", written.Host)
}
