package blobstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/minio/minio-go/v7"
)

// explain classifies an error of the library.
func (s *s3Service) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if identity, ok := errors.AsType[*identityError](err); ok {
		return identity
	}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return s.explainAnswer(answer)
	}
	return unreached(s.name, err)
}

func (s *s3Service) explainAnswer(answer minio.ErrorResponse) error {
	switch answer.Code {
	case "NoSuchBucket":
		return fmt.Errorf("%s has no bucket %s", s.name, s.bucket)
	case "NoSuchUpload":
		return errTaken // the parts are put together already, or another one's are; who is asked next knows
	case "ConditionalRequestConflict", "OperationAborted":
		return errBusy
	}
	failed := fmt.Errorf("%s answered %d %s: %s", s.name, answer.StatusCode, quoted(answer.Code), quoted(answer.Message))
	switch {
	case isConditionFailed(answer.StatusCode):
		return errTaken
	case answer.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case answer.StatusCode == http.StatusInsufficientStorage || slices.Contains(fullCodes(), answer.Code):
		return fmt.Errorf("%w: %w", ErrFull, failed)
	case slices.Contains(keyCodes(), answer.Code):
		return fmt.Errorf("%w: %w", ErrKey, failed)
	case isDenied(answer.StatusCode) || slices.Contains(deniedCodes(), answer.Code):
		return fmt.Errorf("%w: %w", ErrDenied, failed)
	case answer.StatusCode == http.StatusNotImplemented:
		return fmt.Errorf("%w (conditional writes, If-None-Match, are needed)", failed)
	}
	return failed
}

// fullCodes are what Ceph, MinIO, Wasabi and others say when there is no space.
func fullCodes() []string {
	return []string{
		"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "NoSpaceLeftOnDevice",
		"ServiceQuotaExceeded", "StorageQuotaExceeded",
	}
}

// keyCodes are what services say that keep objects as files, among others.
func keyCodes() []string {
	return []string{
		"KeyTooLongError", "XMinioInvalidObjectName", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory",
		"ObjectParentIsFile", "ExistingObjectIsDirectory",
	}
}

// deniedCodes are what services say with status 400 about credentials.
func deniedCodes() []string {
	return []string{"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "AuthorizationHeaderMalformed"}
}

// isDenied reports whether a status is about credentials, whatever the text: proxies answer plain text.
func isDenied(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired
}

// isConditionFailed reports whether a status says that a condition of a request is not met. Some services answer If-None-Match
// as if it were that of a read.
func isConditionFailed(status int) bool {
	return status == http.StatusPreconditionFailed || status == http.StatusNotModified
}
