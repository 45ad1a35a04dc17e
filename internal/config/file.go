package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// maxSecretFile bounds the file that a secret is read from, in bytes.
const maxSecretFile = 64 << 10

// readFile fills the variable from the file at path. The fault names the path, which
// is no secret, and nothing of what is in the file.
func (v variable) readFile(path string) (fault string) {
	if strings.TrimSpace(path) == "" {
		return "is set but empty; give it the path of a file or do not set it"
	}
	content, err := readBounded(path, maxSecretFile)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	decoder, ok := reflect.TypeAssert[envconfig.Decoder](v.field.Addr())
	if !ok {
		return "cannot be read from a file"
	}
	if err := decoder.Decode(content); err != nil {
		return fmt.Sprintf("names the file %s, which %s", quote(path), err)
	}
	return ""
}

// readBounded gives the text of a file without the white space at its end. The
// error is fs.ErrNotExist when there is no such file.
func readBounded(path string, limit int64) (string, error) {
	content, err := readAtMost(path, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", missingError(path)
	case err != nil:
		return "", fmt.Errorf("the file %s: %w", path, pathless(err))
	case int64(len(content)) > limit:
		return "", fmt.Errorf("the file %s is longer than %d bytes", path, limit)
	}
	text := strings.TrimRight(string(content), " \t\r\n")
	if text == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return text, nil
}

// missingError is fs.ErrNotExist in a sentence, for the file at this path.
type missingError string

func (e missingError) Error() string { return "the file " + string(e) + " does not exist" }

func (e missingError) Is(target error) bool { return target == fs.ErrNotExist }

// readAtMost reads one byte more than limit at most.
func readAtMost(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	var content bytes.Buffer
	_, err = io.Copy(&content, io.LimitReader(file, limit+1))
	return content.Bytes(), err
}

// pathless drops the path from a file error that stands beside it anyway.
func pathless(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
