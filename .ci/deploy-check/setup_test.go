package deploycheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installation is a folder with the volumes of the setup container.
type installation struct {
	t      *testing.T
	folder string
}

func newInstallation(t *testing.T) installation {
	t.Helper()
	i := installation{t, t.TempDir()}
	for _, volume := range []string{"state/s3", "state/proxy"} {
		if err := os.MkdirAll(filepath.Join(i.folder, volume), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func (i installation) run(arguments ...string) (string, error) {
	i.t.Helper()
	script := filepath.Join(top, "deploy", "compose", "setup.sh")
	command := exec.CommandContext(i.t.Context(), "sh", append([]string{script}, arguments...)...)
	command.Env = append(os.Environ(), "SECRETS="+filepath.Join(i.folder, "secrets"), "STATE="+filepath.Join(i.folder, "state"))
	output, err := command.CombinedOutput()
	return string(output), err
}

func (i installation) mustRun(arguments ...string) string {
	i.t.Helper()
	output, err := i.run(arguments...)
	if err != nil {
		i.t.Fatalf("setup.sh %v: %v\n%s", arguments, err, output)
	}
	return output
}

// secrets returns the content of every secret by file.
func (i installation) secrets() map[string]string {
	i.t.Helper()
	files := map[string]string{}
	for _, name := range []string{"receiver/webhook-tokens", "receiver/database-url", "receiver/aws-credentials", "postgres/password", "s3/secret-key"} {
		content, err := os.ReadFile(filepath.Join(i.folder, "secrets", name))
		if err != nil {
			i.t.Fatal(err)
		}
		files[name] = string(content)
	}
	return files
}

func TestSetupCreatesSecretsOnce(t *testing.T) {
	i := newInstallation(t)
	first := i.mustRun()
	made := i.secrets()
	if token := made["receiver/webhook-tokens"]; len(token) != 64 || !strings.Contains(first, "/webhooks/deep-image/"+token) {
		t.Errorf("the token is %q, and the first start prints %q", token, first)
	}
	for file, part := range map[string]string{"receiver/database-url": "postgres/password", "receiver/aws-credentials": "s3/secret-key"} {
		if !strings.Contains(made[file], made[part]) || len(made[part]) != 64 {
			t.Errorf("%s is %q, and %s is %q", file, made[file], part, made[part])
		}
	}
	if again := i.mustRun(); again != "" {
		t.Errorf("the second start prints %q", again)
	}
	for file, content := range i.secrets() {
		if content != made[file] {
			t.Errorf("the second start changes %s", file)
		}
	}
	other := newInstallation(t)
	other.mustRun()
	for file, content := range other.secrets() {
		if content == made[file] {
			t.Errorf("two installations share %s", file)
		}
	}
}

func TestSetupRotatesTokens(t *testing.T) {
	i := newInstallation(t)
	for _, command := range []string{"url", "add-token", "keep-newest", "nonsense"} {
		if output, err := i.run(command); err == nil {
			t.Errorf("setup.sh %s before the first start is no failure: %s", command, output)
		}
	}
	i.mustRun()
	old := i.secrets()["receiver/webhook-tokens"]
	printed := i.mustRun("add-token")
	newest, kept, _ := strings.Cut(i.secrets()["receiver/webhook-tokens"], ",")
	if kept != old || len(newest) != 64 || !strings.Contains(printed, newest) || i.mustRun("url") != printed {
		t.Errorf("the tokens are %q and %q, the old one was %q, printed is %q", newest, kept, old, printed)
	}
	i.mustRun("keep-newest")
	if left := strings.TrimSpace(i.secrets()["receiver/webhook-tokens"]); left != newest {
		t.Errorf("left is %q, want %q", left, newest)
	}
}
