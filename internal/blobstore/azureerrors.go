package blobstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
)

// explain classifies an error of the library. The library's own text shows
// the request and the whole answer, in which the string that was signed can be.
func (s *azureService) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if identity, ok := errors.AsType[*identityError](err); ok {
		return identity
	}
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return s.explainAnswer(answer)
	}
	return unreached(s.name, err)
}

func (s *azureService) explainAnswer(answer *azcore.ResponseError) error {
	failed := fmt.Errorf("%s answered %d %s", s.name, answer.StatusCode, quoted(answer.ErrorCode))
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet:
		return errTaken
	// Another writer's blocks were put together, and ours forgotten.
	case bloberror.InvalidBlockList, bloberror.InvalidBlobOrBlock:
		return errTaken
	case bloberror.BlobNotFound:
		return ErrNotFound
	case bloberror.ContainerNotFound:
		return fmt.Errorf("%s has no container %s", s.name, s.container)
	case bloberror.InvalidResourceName:
		return fmt.Errorf("%w: %w", ErrKey, failed)
	}
	switch {
	case isConditionFailed(answer.StatusCode):
		return errTaken
	case answer.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case answer.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, failed)
	case isDenied(answer.StatusCode):
		return fmt.Errorf("%w: %w", ErrDenied, failed)
	}
	return failed
}
