package aws_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
)

const (
	region   = "eu-central-1"
	topicARN = "arn:aws:sns:eu-central-1:123456789012:deep-image"
	queueURL = "https://sqs.eu-central-1.amazonaws.com/123456789012/deep-image"
	maxBytes = 64 << 10
)

// TestMain sets the environment of the AWS library, so that nothing of this machine is used.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": brokertest.Password, "AWS_SESSION_TOKEN": brokertest.Password,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_CA_BUNDLE": "",
	} {
		_ = os.Setenv(name, value)
	}
	handlertest.Main(m)
}

// isSigned reports whether a request has a signature for the service. The signature is not verified.
func isSigned(r *http.Request, service string) bool {
	authorization := r.Header.Get("Authorization")
	return strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") &&
		strings.Contains(authorization, "/"+region+"/"+service+"/aws4_request") && r.Header.Get("X-Amz-Security-Token") == brokertest.Password
}

// queues is a fake SQS with one queue and one FIFO queue: the used part of its JSON protocol.
func queues(s *brokertest.Service) http.Handler {
	type request struct {
		QueueURL               string `json:"QueueUrl"`
		MessageBody            string
		MessageAttributes      map[string]struct{ DataType, StringValue string }
		MessageGroupID         string `json:"MessageGroupId"`
		MessageDeduplicationID string `json:"MessageDeduplicationId"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got request
		err := json.NewDecoder(r.Body).Decode(&got)
		fifo := strings.HasSuffix(got.QueueURL, ".fifo")
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		refuse := func(code, message string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": message})
		}
		switch {
		case err != nil || !isSigned(r, "sqs"):
			refuse("InvalidSecurity", "signature of "+r.Header.Get("X-Amz-Security-Token"))
		case got.QueueURL != queueURL && got.QueueURL != queueURL+".fifo":
			refuse("QueueDoesNotExist", "The specified queue does not exist.")
		case r.Header.Get("X-Amz-Target") == "AmazonSQS.GetQueueAttributes":
			_ = json.NewEncoder(w).Encode(map[string]any{"Attributes": map[string]string{"QueueArn": "arn"}})
		case r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessage":
			refuse("InvalidAction", "")
		case len(got.MessageBody) > maxBytes:
			refuse("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than 65537 bytes.")
		case got.MessageAttributes["content-type"].StringValue != "application/cloudevents+json":
			refuse("InvalidMessageContents", "no type")
		case fifo != (got.MessageDeduplicationID != "") || fifo != (got.MessageGroupID != ""):
			refuse("InvalidParameterValue", "a FIFO queue needs both ids, another one takes none")
		default:
			s.Keep([]byte(got.MessageBody), got.MessageDeduplicationID)
			sum := md5.Sum([]byte(got.MessageBody))
			_ = json.NewEncoder(w).Encode(map[string]string{"MessageId": "1", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
		}
	})
}

// topics is a fake SNS with one topic and one FIFO topic: the used part of its query protocol.
func topics(s *brokertest.Service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, code, message string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Type>Sender</Type><Code>"+code+"</Code><Message>")
			_ = xml.EscapeText(w, []byte(message))
			_, _ = io.WriteString(w, "</Message></Error><RequestId>1</RequestId></ErrorResponse>")
		}
		arn, body := r.PostFormValue("TopicArn"), r.PostFormValue("Message")
		switch {
		case !isSigned(r, "sns"):
			refuse(http.StatusForbidden, "InvalidClientTokenId", "The security token "+r.Header.Get("X-Amz-Security-Token")+" is invalid")
		case arn != topicARN && arn != topicARN+".fifo":
			refuse(http.StatusNotFound, "NotFound", "Topic does not exist")
		case r.PostFormValue("Action") == "GetTopicAttributes":
			_, _ = io.WriteString(w, "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes/></GetTopicAttributesResult></GetTopicAttributesResponse>")
		case r.PostFormValue("Action") != "Publish":
			refuse(http.StatusBadRequest, "InvalidAction", "")
		case len(body) > maxBytes:
			refuse(http.StatusBadRequest, "InvalidParameter", "Invalid parameter: Message too long")
		case r.PostFormValue("MessageAttributes.entry.1.Value.StringValue") != "application/cloudevents+json":
			refuse(http.StatusBadRequest, "InvalidParameter", fmt.Sprint("no type in ", r.PostForm))
		default:
			s.Keep([]byte(body), r.PostFormValue("MessageDeduplicationId"))
			_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>")
		}
	})
}

// always sends the same response.
func always(status int, contentType, text string) func(*brokertest.Service) http.Handler {
	return func(*brokertest.Service) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
}

func queueAddress(s *brokertest.Service, suffix string) string {
	return "awssqs://" + strings.TrimPrefix(queueURL, "https://") + suffix + "?endpoint=" + s.URL()
}

func topicAddress(s *brokertest.Service, suffix string) string {
	return "awssns:///" + topicARN + suffix + "?endpoint=" + s.URL()
}

func subject(s *brokertest.Service, address string) brokertest.Subject {
	return brokertest.Subject{URL: address, Proxy: s.Proxy, Bodies: s.Bodies, TooLarge: maxBytes}
}
