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

	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/kelseyhightower/envconfig"
)

// maxSecretFile bounds the file that a secret is read from, in bytes.
const maxSecretFile = 64 << 10

// readFile sets the variable from the file at path. The error names the path, which is not secret, and nothing of the
// file's content.
func (v variable) readFile(path string) (fault string) {
	if strings.TrimSpace(path) == "" {
		return "is set but empty; give it the path of a file or do not set it"
	}
	content, err := readBounded(path, maxSecretFile)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	if isQuoted(content) {
		return fmt.Sprintf("names the file %s, whose content %s", quote(path), quotedText)
	}
	decoder, ok := reflect.TypeAssert[envconfig.Decoder](v.field.Addr())
	if !ok {
		return "cannot be read from a file"
	}
	decode := decoder.Decode
	if list, ok := decoder.(*secret.List); ok && v.itemStart() != nil {
		decode = func(text string) error { return list.DecodeItems(text, v.itemStart()) }
	}
	if err := decode(content); err != nil {
		return fmt.Sprintf("names the file %s, which %s", quote(path), err)
	}
	return ""
}

// readBounded returns the text of a file without the white space at its end. The error is fs.ErrNotExist if there is no
// such file.
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

// missingError is fs.ErrNotExist with a sentence that names the path.
type missingError string

func (e missingError) Error() string { return "the file " + string(e) + " does not exist" }

func (e missingError) Is(target error) bool { return target == fs.ErrNotExist }

// readAtMost reads at most limit+1 bytes.
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

// pathless returns a file error without its path.
func pathless(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
