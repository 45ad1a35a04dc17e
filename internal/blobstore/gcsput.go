package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// gcsMetadata goes with an object.
type gcsMetadata struct {
	Name        string            `json:"name"`
	ContentType string            `json:"contentType,omitempty"`
	MD5         string            `json:"md5Hash"` // base64; the service refuses content that differs
	Metadata    map[string]string `json:"metadata"`
}

// create sends metadata and content in one request, whatever the size: the service
// takes 5 TiB so, and nothing is there before all of it is.
func (s *gcsService) create(ctx context.Context, name string, c content) error {
	md5, err := c.md5(ctx)
	if err != nil {
		return s.explain(ctx, err)
	}
	metadata, err := json.Marshal(gcsMetadata{
		Name: name, ContentType: c.mediaType, MD5: base64.StdEncoding.EncodeToString(md5), Metadata: map[string]string{metadataSHA256: c.sha256},
	})
	if err != nil {
		return err
	}
	answer, err := s.send(ctx, func(ctx context.Context) (*http.Request, error) { return s.upload(ctx, string(metadata), c) })
	if err != nil {
		return s.explainCreate(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(nil, answer.Body, maxAnswerBytes)); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// upload is the request; generation 0 stands for no object.
func (s *gcsService) upload(ctx context.Context, metadata string, c content) (*http.Request, error) {
	boundary := rand.Text() // content from outside could contain a known one
	head := fmt.Sprintf("--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n",
		boundary, metadata, boundary, orBinary(c.mediaType))
	tail := fmt.Sprintf("\r\n--%s--\r\n", boundary)
	body := io.MultiReader(strings.NewReader(head), c.all(), strings.NewReader(tail))
	address := s.endpoint.JoinPath("upload/storage/v1/b", s.bucket, "o").String() + "?uploadType=multipart&ifGenerationMatch=0"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(head)) + c.size + int64(len(tail))
	request.Header.Set("Content-Type", "multipart/related; boundary="+boundary)
	return request, nil
}

func orBinary(mediaType string) string {
	if mediaType == "" {
		return "application/octet-stream"
	}
	return mediaType
}

func (s *gcsService) explainCreate(err error) error {
	refused, ok := errors.AsType[*gcsError](err)
	switch {
	case ok && isConditionFailed(refused.status):
		return errTaken
	case ok && refused.status == http.StatusConflict:
		return errBusy
	case ok && refused.status == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
