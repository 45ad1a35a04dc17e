package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

const (
	proxiedClient = "127.0.0.2"            // address that the sender connects from
	forgedClient  = "192.0.2.66"           // address that it claims
	proxyPause    = 200 * time.Millisecond // of load before and after each fault
	largeBody     = 20 << 20
)

// proxy is a reverse proxy with a file of deploy/proxies.
type proxy struct {
	name, file string
	programs   []string
	// wrap returns the files that the program needs beside the one of deploy/proxies, by name.
	wrap func(folder string) map[string]string
	args func(folder, file string) []string
	// When a receiver is killed, a proxy that cannot send every callback again may refuse as many as lost, or those that come until it
	// has noticed.
	lost          int
	noticesSlowly bool

	address       string
	command       *exec.Cmd
	log           *stream
	folder        string
	refused       []refusal
	faults        *faults
	sent          int
	large, forged string // answers
}

// refusal is an answer other than 200.
type refusal struct {
	sent, answered time.Time
	answer         string
}

func (r refusal) String() string { return r.sent.Format("05.000 ") + r.answer }

// faults are the times at which the first receiver was killed, and the first one was stopped.
type faults struct{ killed, stopped time.Time }

// noticeTimeout is the time in which a proxy must notice that a receiver was killed.
const noticeTimeout = 3 * time.Second

func proxies() []*proxy {
	return []*proxy{
		{
			name: "nginx", file: "nginx.conf", programs: []string{"nginx", "/usr/sbin/nginx"},
			wrap: func(folder string) map[string]string {
				return map[string]string{"main.conf": nginxMain(folder)}
			},
			args: func(folder, _ string) []string {
				return []string{"-p", folder, "-c", filepath.Join(folder, "main.conf"), "-e", filepath.Join(folder, "start.log")}
			},
		},
		{
			name: "HAProxy", file: "haproxy.cfg", programs: []string{"haproxy", "/usr/sbin/haproxy"}, lost: 1,
			args: func(_, file string) []string { return []string{"-db", "-f", file} },
		},
		{
			name: "Apache", file: "apache.conf", programs: []string{"apache2", "/usr/sbin/apache2"}, noticesSlowly: true,
			wrap: func(folder string) map[string]string {
				return map[string]string{"main.conf": apacheMain(folder)}
			},
			args: func(folder, _ string) []string {
				return []string{"-D", "FOREGROUND", "-f", filepath.Join(folder, "main.conf")}
			},
		},
		{
			name: "Caddy", file: "Caddyfile", programs: []string{"caddy"}, noticesSlowly: true,
			args: func(_, file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} },
		},
	}
}

func nginxMain(folder string) string {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	return user + fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log %[1]s/start.log;\nevents {}\nhttp {\n"+
		"client_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\nfastcgi_temp_path %[1]s/f;\nuwsgi_temp_path %[1]s/u;\nscgi_temp_path %[1]s/s;\n"+
		"include %[1]s/nginx.conf;\n}\n", folder)
}

func apacheMain(folder string) string {
	var text strings.Builder
	for _, module := range []string{
		"mpm_event", "authz_core", "alias", "headers", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "proxy_hcheck", "lbmethod_bybusyness",
	} {
		fmt.Fprintf(&text, "LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module)
	}
	fmt.Fprintf(&text, "ServerRoot %[1]s\nServerName localhost\nDefaultRuntimeDir %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/start.log\n"+
		"User www-data\nGroup www-data\nInclude %[1]s/apache.conf\n", folder)
	return text.String()
}

// find returns the program. Without it the test is skipped, but in CI it fails.
func (p *proxy) find(t *testing.T) string {
	t.Helper()
	for _, name := range p.programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	advice := p.name + " is missing: install it (Debian: nginx, haproxy, apache2-bin, caddy) to run this test"
	if os.Getenv("CI") != "" {
		t.Fatal(advice)
	}
	t.Log("SKIPPED, NOT PASSED: " + advice)
	return ""
}

// start runs the program with its file, in which only addresses and folders are replaced.
func (p *proxy) start(t *testing.T, program string, receivers []string) {
	t.Helper()
	var err error
	if p.folder, err = os.MkdirTemp("", "receiver-proxy-"); err != nil { //nolint:usetesting // a proxy may still write when the test ends
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.folder) })
	content, err := os.ReadFile(filepath.Join("..", "..", "deploy", "proxies", p.file))
	if err != nil {
		t.Fatal(err)
	}
	p.address = testkit.FreeAddress(t)
	_, port, _ := net.SplitHostPort(p.address)
	files := map[string]string{p.file: strings.NewReplacer(
		"receiver-1.internal:8080", receivers[0], "receiver-2.internal:8080", receivers[1], "8000", port,
		"/var/log/nginx", p.folder, "${APACHE_LOG_DIR}", p.folder,
	).Replace(string(content))}
	if p.wrap != nil {
		maps.Copy(files, p.wrap(p.folder))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.log = newStream()
	p.command = exec.Command(program, p.args(p.folder, filepath.Join(p.folder, p.file))...)
	p.command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + p.folder, "TMPDIR=" + p.folder}
	p.command.Stdout, p.command.Stderr = p.log, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // with its workers
		_ = p.command.Wait()
	})
}

// client returns a client that connects from proxiedClient and claims to be another.
func (p *proxy) client() *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(proxiedClient)}}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}}
}

// post sends a callback once and returns its status, or the error.
func (p *proxy) post(ctx context.Context, client *http.Client, body []byte) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+"/webhooks/deep-image/"+crashToken, bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	request.GetBody = nil // the sender never repeats
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Forwarded-For", forgedClient)
	request.Header.Set("Forwarded", "for="+forgedClient)
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Status
}

// load sends callbacks until ctx ends.
func (p *proxy) load(ctx context.Context) {
	client := p.client()
	defer client.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		body := fmt.Appendf(nil, `{"job":"%s-%d","result_url":null}`, p.name, n)
		sent := time.Now()
		if got := p.post(context.WithoutCancel(ctx), client, body); got != "200 OK" {
			p.refused = append(p.refused, refusal{sent, time.Now(), got})
		}
		p.sent++
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Two receivers behind each proxy: one is killed, and both are exchanged one after the other, while a sender that never repeats sends
// callbacks. All are taken, a long body passes, no log has the token, and the sender cannot choose its address.
func TestProxies(t *testing.T) { //nolint:paralleltest // the health checks of the proxies have deadlines of a second
	database := databasetest.Postgres(t)
	addresses := []string{testkit.FreeAddress(t), testkit.FreeAddress(t)}
	receive := func(n int) *process {
		return serve(t, t.TempDir(), "RECEIVER_DATABASE_URL="+database.URL.Reveal(), "RECEIVER_DATABASE_MAX_CONNECTIONS=12",
			"RECEIVER_LISTEN_ADDR="+addresses[n], "RECEIVER_TRUSTED_PROXIES=127.0.0.1", "RECEIVER_SHUTDOWN_DELAY=5s")
	}
	var started []*proxy
	var times faults
	for _, p := range proxies() {
		p.faults = &times
		if program := p.find(t); program != "" {
			p.start(t, program, addresses)
			started = append(started, p)
		}
	}
	if len(started) == 0 {
		t.Skip("SKIPPED, NOT PASSED: there is no proxy")
	}
	running := []*process{receive(0), receive(1)}
	for _, p := range started {
		p.awaitReady(t)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var senders sync.WaitGroup
	for _, p := range started {
		senders.Go(func() { p.load(ctx) })
	}
	all := replaceBoth(t, running, started, receive)
	stop()
	senders.Wait()
	for _, p := range started {
		p.ask(t.Context())
	}
	var logs strings.Builder
	for _, r := range all {
		r.kill()
		logs.WriteString(r.log.String())
	}
	for _, p := range started {
		t.Run("E16 "+p.name, func(t *testing.T) {
			p.check(t, logs.String())
		})
	}
}

// awaitReady waits until a callback is accepted through the proxy.
func (p *proxy) awaitReady(t *testing.T) {
	t.Helper()
	client := p.client()
	defer client.CloseIdleConnections()
	body := fmt.Appendf(nil, `{"job":"%s-ready","result_url":null}`, p.name)
	var got string
	for range 100 {
		if got = p.post(t.Context(), client, body); got == "200 OK" {
			return
		}
		after(t, 50*time.Millisecond)
	}
	output, _ := p.log.snapshot()
	t.Fatalf("%s: answer = %s, want 200; output:\n%s", p.name, got, output)
}

// awaitUse waits until every proxy sends callbacks to a receiver.
func awaitUse(t *testing.T, r *process, proxies []*proxy) {
	t.Helper()
	for _, p := range proxies {
		testkit.WaitFor(t, "callbacks of "+p.name+" in the log of the receiver", func() (string, error) { return r.log.String(), nil },
			func(log string) bool { return strings.Contains(log, `"job":"`+p.name+"-") })
	}
}

// replaceBoth kills the first receiver, and replaces both. Before each fault every proxy uses both. It returns all receivers that ran.
func replaceBoth(t *testing.T, running []*process, started []*proxy, receive func(int) *process) []*process {
	t.Helper()
	all := slices.Clone(running)
	times := started[0].faults
	kill := func(p *process) {
		times.killed = time.Now()
		p.kill()
	}
	stop := func(p *process) {
		if times.stopped.IsZero() {
			times.stopped = time.Now()
		}
		signal(t, p, syscall.SIGTERM)
		<-p.exited
	}
	for _, fault := range []struct {
		receiver int
		end      func(*process)
	}{{0, kill}, {1, stop}, {0, stop}} {
		for _, r := range running {
			awaitUse(t, r, started)
		}
		after(t, proxyPause)
		fault.end(running[fault.receiver])
		after(t, proxyPause)
		running[fault.receiver] = receive(fault.receiver)
		all = append(all, running[fault.receiver])
	}
	return all
}

// ask sends the callbacks that are looked at afterwards.
func (p *proxy) ask(ctx context.Context) {
	client := p.client()
	defer client.CloseIdleConnections()
	p.large = p.post(ctx, client, fmt.Appendf(nil, `{"job":"%s-large","result_url":null,"data":"%s"}`, p.name, strings.Repeat("x", largeBody)))
	p.forged = p.post(ctx, client, fmt.Appendf(nil, `{"job":"%s-forged","result_url":null}`, p.name))
}

// check checks what the proxy did: one receiver was killed, and both were stopped. logs are those of all receivers.
func (p *proxy) check(t *testing.T, logs string) {
	t.Helper()
	var killed, wrong []refusal
	for _, r := range p.refused {
		switch after := r.sent.Sub(p.faults.killed); {
		case r.answered.Before(p.faults.killed), !r.sent.Before(p.faults.stopped), p.noticesSlowly && after > noticeTimeout:
			wrong = append(wrong, r)
		default:
			killed = append(killed, r)
		}
	}
	if len(wrong) > 0 || p.sent < 50 {
		t.Errorf("%d of %d callbacks were refused, want none of at least 50: %v", len(wrong), p.sent, wrong)
	}
	if !p.noticesSlowly && len(killed) > p.lost {
		t.Errorf("%d callbacks were refused when a receiver was killed, want at most %d: %v", len(killed), p.lost, killed)
	}
	t.Logf("%d of %d callbacks refused: %v; killed %s, stopped %s", len(p.refused), p.sent, p.refused,
		p.faults.killed.Format("05.000"), p.faults.stopped.Format("05.000"))
	if p.large != "200 OK" || p.forged != "200 OK" {
		t.Errorf("body of 20 MiB: %s, forged address: %s; want 200", p.large, p.forged)
	}
	clients := regexp.MustCompile(`"client":"([^"]*)"[^\n]*"job":"`+p.name+`-`).FindAllStringSubmatch(logs, -1)
	if len(clients) == 0 {
		t.Error("no callback is in the logs of the receivers, want some")
	}
	for _, found := range clients {
		if found[1] != proxiedClient {
			t.Fatalf("E15 client = %s, want %s", found[1], proxiedClient)
		}
	}
	files, err := filepath.Glob(filepath.Join(p.folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	output, _ := p.log.snapshot()
	for _, path := range files {
		content, _ := os.ReadFile(path) // folders have none
		output += string(content)
	}
	if before, _, found := strings.Cut(output, crashToken); found {
		line := before[strings.LastIndex(before, "\n")+1:]
		t.Errorf("the token is in a log, want it in none: %.300s", line)
	}
}
