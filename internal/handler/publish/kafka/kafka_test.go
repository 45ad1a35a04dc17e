package kafka_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBroker(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		return newSubject(newCluster(t, kfake.SeedTopics(partitions, topic)))
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	running := newCluster(t, kfake.SeedTopics(partitions, topic))
	brokertest.SurvivesRestart(t, brokertest.Restart{Subject: newSubject(running), Stop: running.stop, Start: running.start})
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	running := newCluster(t, kfake.SeedTopics(partitions, topic))
	address := running.address()
	running.stop(t)
	brokertest.DownAtStart(t, address, running.start)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	seeded := kfake.SeedTopics(partitions, topic)
	reader := kfake.User("PLAIN", "reader", brokertest.Password, kfake.ACL{
		Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true,
	})
	t.Run("no topic", func(t *testing.T) {
		t.Parallel()
		brokertest.Fails(t, newCluster(t).address(), event.ReasonOther)
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		running := newCluster(t, seeded)
		// kfake would close the connection, Kafka responds.
		running.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
			running.KeepControl()
			response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			response.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return response, nil, true
		})
		brokertest.Fails(t, running.address(), event.ReasonAuth)
	})
	t.Run("no login", func(t *testing.T) {
		t.Parallel()
		address := newCluster(t, seeded).address()
		_, hosts, _ := strings.Cut(address, "@")
		hosts, _, _ = strings.Cut(hosts, "?")
		brokertest.Fails(t, "kafka://"+hosts, event.ReasonServerError)
	})
	t.Run("writing is not permitted", func(t *testing.T) {
		t.Parallel()
		address := newCluster(t, seeded, reader, kfake.EnableACLs()).address()
		address = strings.Replace(strings.Replace(address, "user:", "reader:", 1), "scram-sha-512", "plain", 1)
		_, err := brokertest.NewHandler(t, address).Handle(t.Context(), brokertest.Event(t, "job", "s3cret"))
		handlertest.WantError(t, err, event.ActionDefer, event.ReasonAuth)
	})
}
