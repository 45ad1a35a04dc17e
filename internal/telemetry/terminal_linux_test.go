package telemetry_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

func TestAutoIsConsoleOnATerminal(t *testing.T) {
	rows := []struct {
		name    string
		noColor string
		colour  bool
	}{
		{"in colour", "", true},
		{"without colour when NO_COLOR is set", "1", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", row.noColor)
			keyboard, screen := openTerminal(t)
			log, err := telemetry.NewLogger(screen, telemetry.Config{Level: "info", Format: "auto"})
			if err != nil {
				t.Fatal(err)
			}
			log.Warn().Str("job", "42").Msg("slow")

			line, err := bufio.NewReader(keyboard).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(line, "slow") || strings.HasPrefix(line, "{") {
				t.Errorf("line = %q, want the console format", line)
			}
			if got := strings.Contains(line, "\x1b[33mwarn"); got != row.colour {
				t.Errorf("colour of %q = %t, want %t", line, got, row.colour)
			}
		})
	}
}
