package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// credentialsFailure reports that there are no credentials. Only the code is quoted: the text of some providers contains
// secrets.
func credentialsFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return broker.ConnectionFailed("AWS credentials were not available in time", ctx.Err())
	}
	if response, ok := errors.AsType[smithy.APIError](err); ok {
		return broker.Refused("AWS refused credentials (%s)", broker.Quote(response.ErrorCode()))
	}
	return broker.Refused("there are no AWS credentials: neither in the environment nor in its files, and no role")
}

// failure classifies the error of a message or lookup.
func (t target) failure(ctx context.Context, message broker.Message, err error) error {
	response, responded := errors.AsType[smithy.APIError](err)
	switch {
	case ctx.Err() != nil:
		return broker.Unacknowledged(ctx, "AWS")
	case !responded:
		return broker.ConnectionFailed("AWS cannot be reached, or the response is not that of AWS", plain(err))
	}
	code, text, status := response.ErrorCode(), broker.Quote(response.ErrorMessage()), statusOf(err)
	switch {
	case isMissing(code):
		return broker.Missing("there is no %s; create it, or correct the URL", t.place())
	case isRefusal(code) || isForbidden(err) || status == http.StatusUnauthorized:
		// The text can quote the request, with the token of a session in it.
		return broker.Refused("AWS denies these credentials to publish to the %s (%s)", t.place(), broker.Quote(code))
	case status == http.StatusTooManyRequests || strings.Contains(code, "Throttl"):
		return broker.Throttled("AWS asks to slow down: %s", broker.Quote(code))
	case status == http.StatusRequestEntityTooLarge || strings.Contains(text, "too long") || strings.Contains(text, "shorter than"):
		return broker.TooLarge(message, "the %s accepts no message of this size: %s", t.place(), text)
	default:
		return broker.Failed("AWS did not store the message: %s: %s", broker.Quote(code), text)
	}
}

// plain returns the cause without the library's list of attempts.
func plain(err error) error {
	if sent, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = sent.Err
	}
	if sent, ok := errors.AsType[*awshttp.ResponseError](err); ok && sent.Err != nil {
		err = sent.Err
	}
	return err
}

func statusOf(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

// The codes of SNS and of SQS, the latter in both of its protocols
// (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html,
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html,
// and the common errors that these pages link to).

func isMissing(code string) bool {
	return slices.Contains([]string{"NotFound", "NotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"}, code)
}

func isRefusal(code string) bool {
	return slices.Contains([]string{
		"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException", "InvalidSecurity", "OptInRequired",
	}, code)
}

// isForbidden reports whether valid credentials lack a permission.
func isForbidden(err error) bool {
	response, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains([]string{
		"AuthorizationError", "AuthorizationErrorException", "AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied",
	}, response.ErrorCode())
}
