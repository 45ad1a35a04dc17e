package rabbitmq_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/rabbitmq/amqp091-go"
)

// maxMessage is the largest message that the server takes, in bytes.
const maxMessage = 64 << 10

// debianProgram is where Debian and its relatives put the server; the one on the path
// there requires its own user.
const debianProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// program is the server, which need not be there.
func program() string { return cmp.Or(os.Getenv("TEST_RABBITMQ"), debianProgram) }

// startTimeout is enough for Erlang on a slow and busy machine.
const startTimeout = 2 * time.Minute

// rabbit is a real server with files of its own, as a child of this process. It ends
// when its input ends, so it does not outlive the tests, however they end.
type rabbit struct {
	listen string // host:port
	group  int    // of its processes
	input  io.WriteCloser
	output *marks
	done   chan struct{} // closed when all of its processes are gone
}

// startRabbit starts the server in the folder, which has to be empty.
func startRabbit(folder string) (*rabbit, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	configuration := filepath.Join(folder, "rabbitmq.conf")
	text := fmt.Sprintf("listeners.tcp.1 = %s\nmax_message_size = %d\nloopback_users = none\nlog.file = false\nlog.console.level = warning\n", ports[0], maxMessage)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// Erlang's nodes find each other through epmd, which would stay behind as a daemon.
	command := exec.Command("sh", "-c", `exec 3<&0; epmd </dev/null & "$0" <&3; kill -9 0`, program())
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Env = append(os.Environ(),
		"HOME="+folder, "RABBITMQ_NODENAME=receiver@localhost", "RABBITMQ_CONFIG_FILE="+configuration,
		"RABBITMQ_MNESIA_BASE="+folder+"/mnesia", "RABBITMQ_LOG_BASE="+folder+"/log", "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+folder+"/plugins", "RABBITMQ_PID_FILE="+folder+"/pid",
		"RABBITMQ_GENERATED_CONFIG_DIR="+folder+"/generated", "RABBITMQ_SCHEMA_DIR="+folder+"/schema",
		"RABBITMQ_ALLOW_INPUT=1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none",
		"RABBITMQ_DIST_PORT="+portOf(ports[1]), "ERL_EPMD_PORT="+portOf(ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1",
	)
	made := &rabbit{listen: ports[0], output: &marks{}, done: make(chan struct{})}
	command.Stdout, command.Stderr = made.output, made.output
	if made.input, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	made.group = command.Process.Pid
	go func() {
		_ = command.Wait() // killed, by itself
		close(made.done)
	}()
	if err := made.say("(fun Wait() -> case catch rabbit:is_running() of true -> ok; _ -> timer:sleep(50), Wait() end end)()"); err != nil {
		made.end()
		return nil, err
	}
	return made, nil
}

// say has the server evaluate something, and waits until it has.
func (r *rabbit) say(expression string) error {
	mark, seen := r.output.expect()
	if _, err := fmt.Fprintf(r.input, "case catch (%s) of {'EXIT', Why} -> io:format(\"~p~n\", [Why]); _ -> ok end, io:format(\"~s~s~n\", [%q, %q]).\n", expression, mark[:4], mark[4:]); err != nil {
		return err
	}
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-seen:
		return nil
	case <-r.done:
		return fmt.Errorf("rabbitmq-server ended: %s", r.output)
	case <-timer.C:
		return fmt.Errorf("%s takes longer than %s: %s", expression, startTimeout, r.output)
	}
}

func (r *rabbit) end() {
	_ = r.input.Close()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		_ = syscall.Kill(-r.group, syscall.SIGKILL)
		<-r.done
	}
}

func (r *rabbit) must(t *testing.T, expression string) {
	t.Helper()
	if err := r.say(expression); err != nil {
		t.Fatal(err)
	}
}

// marks is what a server writes, and looks for marks in it.
type marks struct {
	mutex   sync.Mutex
	written bytes.Buffer
	count   int
	waiting map[string]chan struct{}
}

// expect makes up a mark and says when it is seen.
func (m *marks) expect() (mark string, seen <-chan struct{}) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.count++
	mark = fmt.Sprintf("mark%d;", m.count)
	if m.waiting == nil {
		m.waiting = map[string]chan struct{}{}
	}
	m.waiting[mark] = make(chan struct{})
	return mark, m.waiting[mark]
}

// Write takes what is written.
func (m *marks) Write(p []byte) (int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.written.Write(p)
	for mark, seen := range m.waiting {
		if strings.Contains(m.written.String(), mark) {
			close(seen)
			delete(m.waiting, mark)
		}
	}
	return len(p), nil
}

// String is all that was written.
func (m *marks) String() string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.written.String()
}

// freePorts returns addresses on loopback with free ports.
func freePorts(count int) ([]string, error) {
	var addresses []string
	var listeners []net.Listener
	defer func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}()
	for range count {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// shared is the one server of all tests: it takes seconds to start.
var shared struct {
	sync.Once
	*rabbit
	err    error
	folder string
}

// server returns the shared server. It skips the test if RabbitMQ is not installed; in CI that is a failure.
func server(t *testing.T) *rabbit {
	t.Helper()
	if _, err := os.Stat(program()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("RabbitMQ is not installed (.ci/with-servers installs it): %v", err)
		}
		t.Skipf("SKIPPED: nothing is proved of RabbitMQ, because it is not installed (.ci/with-servers installs it): %v", err)
	}
	shared.Do(func() {
		if shared.folder, shared.err = os.MkdirTemp("", "rabbitmq"); shared.err != nil { //nolint:usetesting // it serves all tests
			return
		}
		if shared.rabbit, shared.err = startRabbit(shared.folder); shared.err != nil {
			return
		}
		shared.err = shared.say(fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"user">>, <<%q>>, <<"tests">>)`, brokertest.Password))
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.rabbit
}

func stopShared() {
	if shared.rabbit != nil {
		shared.end()
	}
	if shared.folder != "" {
		_ = os.RemoveAll(shared.folder)
	}
}

// vhost is a vhost of one test, with an exchange and a queue.
type vhost struct {
	*rabbit
	name string
	kept [][]byte // messages taken from the queue
}

const (
	exchange = "events"
	queue    = "deep-image"
)

// newVhost makes a vhost with these permissions of the user; setUp may be nil.
func newVhost(t *testing.T, configure, write string, setUp func(t *testing.T, channel *amqp091.Channel)) *vhost {
	t.Helper()
	made := &vhost{rabbit: server(t), name: strings.ReplaceAll(t.Name(), "/", ".")}
	made.must(t, fmt.Sprintf(`rabbit_vhost:add(<<%q>>, <<"tests">>)`, made.name))
	made.permit(t, "guest", ".*", ".*")
	made.permit(t, "user", configure, write)
	if setUp != nil {
		made.asAdmin(t, setUp)
	}
	return made
}

func (v *vhost) permit(t *testing.T, user, configure, write string) {
	t.Helper()
	v.must(t, fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<%q>>, <<%q>>, <<%q>>, <<%q>>, <<".*">>, <<"tests">>)`,
		user, v.name, configure, write))
}

// asAdmin connects as the administrator.
func (v *vhost) asAdmin(t *testing.T, do func(t *testing.T, channel *amqp091.Channel)) {
	t.Helper()
	conn, err := amqp091.DialConfig("amqp://"+v.listen, amqp091.Config{Vhost: v.name})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	do(t, channel)
}

// withQueue declares a durable exchange and a durable queue that is bound to it.
func withQueue(arguments amqp091.Table) func(t *testing.T, channel *amqp091.Channel) {
	return func(t *testing.T, channel *amqp091.Channel) {
		t.Helper()
		if err := channel.ExchangeDeclare(exchange, "topic", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := channel.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
			t.Fatal(err)
		}
		if err := channel.QueueBind(queue, "ai.deep-image.job.#", exchange, false, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// bodies empties the queue and returns all messages that were ever in it.
func (v *vhost) bodies(t *testing.T) [][]byte {
	t.Helper()
	v.asAdmin(t, func(t *testing.T, channel *amqp091.Channel) {
		t.Helper()
		for {
			message, some, err := channel.Get(queue, true)
			if err != nil {
				t.Fatal(err)
			}
			if !some {
				return
			}
			if message.ContentType != "application/cloudevents+json" || message.DeliveryMode != amqp091.Persistent ||
				!bytes.Contains(message.Body, []byte(message.MessageId)) {
				t.Errorf("message = %+v, want a persistent CloudEvent with its id", message)
			}
			v.kept = append(v.kept, message.Body)
		}
	})
	return v.kept
}

// address returns the URL for a listening address.
func (v *vhost) address(listening, parameters string) string {
	return fmt.Sprintf("amqp://user:%s@%s/%s?%s", brokertest.Password, listening, v.name, parameters)
}
