package blobstore

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxKeyBytes     = 1024 // what S3 allows
	maxSegmentBytes = 255  // what common file systems allow for one name
)

// CheckKey says whether key can name an object in any bucket: a relative path of
// 1 to 1024 bytes of UTF-8 with segments of 1 to 255 bytes between slashes. The
// segments "." and "..", names that start with ".spool" (in any case), backslashes
// and control characters are refused. Anything but nil is an ErrKey.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrKey)
	case len(key) > maxKeyBytes:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrKey, len(key), maxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w %q: it is not UTF-8", ErrKey, key)
	case strings.Contains(key, `\`) || strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("%w %q: it has a backslash or a control character", ErrKey, key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if fault := faultOf(segment); fault != "" {
			return fmt.Errorf("%w %q: %s", ErrKey, key, fault)
		}
	}
	return nil
}

func faultOf(segment string) string {
	switch {
	case segment == "":
		return "it has an empty segment"
	case segment == "." || segment == "..":
		return "it has a segment " + segment
	case len(segment) > maxSegmentBytes:
		return fmt.Sprintf("it has a segment of %d bytes, at most %d are allowed", len(segment), maxSegmentBytes)
	// Some file systems do not distinguish .Spool and .spool.
	case strings.HasPrefix(strings.ToLower(segment), spoolsName):
		return "names that start with " + spoolsName + " are reserved"
	}
	return ""
}

// parents lists the folders above key, the outermost first.
func parents(key string) []string {
	var folders []string
	for folder := path.Dir(key); folder != "."; folder = path.Dir(folder) {
		folders = append([]string{folder}, folders...)
	}
	return folders
}
