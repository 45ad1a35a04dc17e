package nats_test

import (
	"net"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

func TestBroker(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		running := newServer(t, nil)
		running.addStream(t, jetstream.StreamConfig{})
		return newSubject(t, running)
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	subject := newSubject(t, running)
	brokertest.SurvivesRestart(t, brokertest.Restart{Subject: subject, Stop: running.stop, Start: running.start})
	seen := map[string]bool{}
	for _, body := range running.bodies(t) {
		if seen[string(body)] {
			t.Errorf("the stream did not drop the repeat %s", body)
		}
		seen[string(body)] = true
	}
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	running.stop(t)
	brokertest.DownAtStart(t, address(running.listen), running.start)
}

func TestNextServerIsTried(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	nobody := freeAddress(t)
	made := brokertest.NewHandler(t, address(nobody+","+running.listen+","+nobody))
	if _, err := made.Handle(t.Context(), brokertest.Event(t, "job", "s3cret")); err != nil {
		t.Error(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestFailures(t *testing.T) {
	t.Parallel()
	user := func(permissions *server.Permissions) func(*server.Options) {
		return func(o *server.Options) {
			o.Username, o.Password = "", ""
			o.Users = []*server.User{{Username: "user", Password: brokertest.Password, Permissions: permissions}}
		}
	}
	rows := []struct {
		name   string
		change func(*server.Options)
		reason event.Reason
		says   string
	}{
		{"no stream", nil, event.ReasonOther, "no JetStream stream stores the NATS subject deep-image.complete; create one"},
		{"no JetStream", func(o *server.Options) { o.JetStream = false }, event.ReasonOther, "JetStream"},
		{"wrong password", func(o *server.Options) { o.Password = "another" }, event.ReasonAuth, "refused the log in"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			brokertest.Fails(t, address(newServer(t, row.change).listen), row.reason, row.says)
		})
	}
	t.Run("publishing is not permitted", func(t *testing.T) {
		t.Parallel()
		running := newServer(t, user(&server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}}}))
		running.addStream(t, jetstream.StreamConfig{})
		_, err := brokertest.NewHandler(t, address(running.listen)).Handle(t.Context(), brokertest.Event(t, "job", "s3cret"))
		if failure := handler.Classify(err); failure == nil || failure.Action == event.ActionFail || failure.Reason != event.ReasonAuth {
			t.Errorf("%v", err)
		}
	})
	t.Run("asking for the stream is not permitted", func(t *testing.T) {
		t.Parallel()
		running := newServer(t, user(&server.Permissions{Publish: &server.SubjectPermission{Allow: []string{subject}}}))
		made := brokertest.NewHandler(t, address(running.listen))
		if err := made.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name      string
		config    jetstream.StreamConfig
		permanent bool
		reason    event.Reason
	}{
		{"large messages", jetstream.StreamConfig{MaxMsgSize: 1000}, true, event.ReasonTooLarge},
		{"when it is full", jetstream.StreamConfig{MaxMsgs: 1, Discard: jetstream.DiscardNew}, false, event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			running := newServer(t, nil)
			running.addStream(t, row.config)
			made := brokertest.NewHandler(t, address(running.listen))
			if _, err := made.Handle(t.Context(), brokertest.Event(t, "small", "s3cret")); err != nil {
				t.Fatal(err)
			}
			_, err := made.Handle(t.Context(), brokertest.LargeEvent(t, "large", 2000))
			if failure := handler.Classify(err); failure == nil || (failure.Action == event.ActionFail) != row.permanent || failure.Reason != row.reason {
				t.Errorf("%+v", failure)
			}
		})
	}
}
