package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// credentialsFailure says that there are no credentials. Why is told by its code at
// most: the text of some providers quotes what they were given.
func credentialsFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return broker.ConnectionFailed("credentials of AWS could not be had in time", ctx.Err())
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return broker.Refused("AWS gives no credentials (%s)", broker.Quote(answer.ErrorCode()))
	}
	return broker.Refused("there are no credentials of AWS, neither in the environment nor in its files, and no role to take")
}

// failure gives a message that was not taken, or a question that was not answered, its meaning.
func (t target) failure(ctx context.Context, message broker.Message, err error) error {
	answer, answered := errors.AsType[smithy.APIError](err)
	switch {
	case ctx.Err() != nil:
		return broker.Unanswered(ctx, "AWS")
	case !answered:
		return broker.ConnectionFailed("AWS cannot be reached, or answers something else", plain(err))
	}
	code, said, status := answer.ErrorCode(), broker.Quote(answer.ErrorMessage()), statusOf(err)
	switch {
	case isMissing(code):
		return broker.Missing("there is no %s; create it, or mend the address", t.place())
	case isRefusal(code) || isForbidden(err) || status == http.StatusUnauthorized:
		// The text can quote the request, with the token of a session in it.
		return broker.Refused("AWS does not let these credentials publish to the %s (%s)", t.place(), broker.Quote(code))
	case status == http.StatusTooManyRequests || strings.Contains(code, "Throttl"):
		return handler.Retry(event.ReasonRateLimited, errors.New("AWS asks to slow down: "+broker.Quote(code)))
	case status == http.StatusRequestEntityTooLarge || strings.Contains(said, "too long") || strings.Contains(said, "shorter than"):
		return broker.TooLarge(message, "the %s does not take so large ones: %s", t.place(), said)
	default:
		return broker.Failed("AWS did not take the message: %s: %s", broker.Quote(code), said)
	}
}

// plain is the cause at the bottom, without the library's account of its attempts.
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
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
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

// isForbidden says that the credentials are good, and not for this.
func isForbidden(err error) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains([]string{
		"AuthorizationError", "AuthorizationErrorException", "AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied",
	}, answer.ErrorCode())
}
