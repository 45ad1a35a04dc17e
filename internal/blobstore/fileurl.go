package blobstore

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// FileURL is the URL under which Open finds the bucket in a folder, which may be
// relative to the working directory.
func FileURL(folder string) (string, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("blobstore: %w", err)
	}
	return urlOf(absolute), nil
}

func urlOf(absolute string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}).String()
}

// folderOf gives the absolute path of the folder that a file URL names. The
// host is empty or localhost (RFC 8089), or "." for a path below the working directory.
func folderOf(address *url.URL) (string, error) {
	extra := address.RawQuery != "" || address.Fragment != "" || address.User != nil || address.Opaque != ""
	switch {
	case extra, strings.ContainsRune(address.Path, 0):
		return "", errors.New("blobstore: a file URL is a plain path such as file:///var/lib/images or file://./images")
	case strings.Trim(address.Path, "/") == "":
		return "", errors.New("blobstore: the file URL names no folder; file:///var/lib/images would")
	}
	switch address.Host {
	case "", "localhost":
		return filepath.Clean(filepath.FromSlash(address.Path)), nil
	case ".":
		return filepath.Abs(filepath.FromSlash("." + address.Path))
	}
	return "", fmt.Errorf("blobstore: file://%s... names another host; an absolute path has three slashes, file:///", address.Host)
}
