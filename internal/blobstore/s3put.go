package blobstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// metadataSHA256 is the name under which an object says its hash, in all services.
	metadataSHA256   = "sha256"
	s3MetadataPrefix = "X-Amz-Meta-"

	abortTimeout = 10 * time.Second // to remove the parts of an upload that failed
)

// create stores content in one request, or in parts if it is large. The service
// checks each request's body by its SHA-256, which is signed, and its MD5, which
// buckets with object locks ask for.
func (s *s3Service) create(ctx context.Context, name string, c content) error {
	if c.size > s.limits.single {
		return s.createInParts(ctx, name, c)
	}
	md5, err := c.md5(ctx)
	if err != nil {
		return s.explain(ctx, err)
	}
	options := s.optionsOf(c)
	options.SetMatchETagExcept("*")
	_, err = s.client.PutObject(ctx, s.bucket, name, c.all(), c.size, base64.StdEncoding.EncodeToString(md5), c.sha256, options)
	return s.explain(ctx, err)
}

// optionsOf says what goes with an object. The body is not signed in pieces:
// its hash is known.
func (s *s3Service) optionsOf(c content) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		ContentType:          c.mediaType,
		UserMetadata:         map[string]string{metadataSHA256: c.sha256},
		DisableContentSha256: true,
	}
}

// createInParts looks first, so that a large object is not sent for nothing. The
// condition is kept when the parts are put together, by services that know it there.
func (s *s3Service) createInParts(ctx context.Context, name string, c content) (err error) {
	if _, err := s.describe(ctx, name); err == nil {
		return errTaken
	}
	upload, err := s.client.NewMultipartUpload(ctx, s.bucket, name, s.optionsOf(c))
	if err != nil {
		return s.explain(ctx, err)
	}
	defer func() {
		if err != nil {
			s.abort(ctx, name, upload)
		}
	}()
	parts, err := s.putParts(ctx, name, upload, c)
	if err != nil {
		return s.explain(ctx, err)
	}
	var options minio.PutObjectOptions
	options.SetMatchETagExcept("*")
	_, err = s.client.CompleteMultipartUpload(ctx, s.bucket, name, upload, parts, options)
	return s.explain(ctx, err)
}

func (s *s3Service) putParts(ctx context.Context, name, upload string, c content) ([]minio.CompletePart, error) {
	var parts []minio.CompletePart
	whole := sha256.New()
	for offset := int64(0); offset < c.size; offset += s.limits.part {
		size := min(s.limits.part, c.size-offset)
		sums, err := c.sums(ctx, offset, size, whole)
		if err != nil {
			return nil, err
		}
		put, err := s.client.PutObjectPart(ctx, s.bucket, name, upload, len(parts)+1, c.section(offset, size), size, minio.PutObjectPartOptions{
			Md5Base64: base64.StdEncoding.EncodeToString(sums.md5), Sha256Hex: sums.sha256, DisableContentSha256: true,
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: put.PartNumber, ETag: put.ETag})
	}
	return parts, c.verify(whole)
}

// abort removes parts, also when the context has ended. What it leaves is for a
// lifecycle rule of the bucket.
func (s *s3Service) abort(ctx context.Context, name, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_ = s.client.AbortMultipartUpload(ctx, s.bucket, name, upload)
}
