package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Limit is the memory that the process may take, in bytes; 0 if it is not limited. It is what GOMEMLIMIT says, or less if the control
// group of the process has less. Beside the memory that Go counts, it has to hold that of SQLite.
type Limit int64

// ReadLimit returns the limit of this process.
func ReadLimit() Limit {
	return limitOf(os.Getenv("GOMEMLIMIT"), "/sys/fs/cgroup", "/proc/self/cgroup")
}

// limitOf leaves a sixth of the memory of a control group to its page cache and to what is not counted.
func limitOf(variable, mount, membership string) Limit {
	const parts = 6
	limit := parseLimit(variable)
	if group := groupLimit(mount, membership); group > 0 {
		group -= group / parts
		if limit == 0 || group < limit {
			limit = group
		}
	}
	return limit
}

// Budget returns the budget for bodies: what is wished, or two fifths of the limit if that is less.
func (l Limit) Budget(wished int64) int64 {
	const share, parts = 2, 5
	if l == 0 {
		return wished
	}
	return min(wished, int64(l)/parts*share)
}

// Connections returns how many connections fit into a quarter of the limit, if each sends a header section of headerBytes.
func (l Limit) Connections(headerBytes int64) int {
	const (
		parts, fewest = 4, 16
		other         = 32 << 10 // stacks and buffers of a connection, and what a header section may have beyond its limit
	)
	if l == 0 {
		return math.MaxInt
	}
	return int(max(int64(l)/parts/(headerBytes+other), fewest))
}

// Apply sets the limit of Go's memory to four fifths of the limit. What is left is for SQLite.
func (l Limit) Apply() {
	const share, parts = 4, 5
	if l > 0 {
		debug.SetMemoryLimit(int64(l) / parts * share)
	}
}

// parseLimit reads the value of GOMEMLIMIT, such as 640MiB; 0 if there is none. Go itself refuses an invalid one.
func parseLimit(text string) Limit {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = number, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "B"), 10, 64)
	if err != nil || n<<shift>>shift != n {
		return 0
	}
	return Limit(n << shift)
}

// groupLimit returns the smallest limit of the control groups of the process, of version 2 or 1; 0 without one.
func groupLimit(mount, membership string) (limit Limit) {
	lines, err := os.ReadFile(membership)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(lines)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		folder, name := mount, "memory.max"
		if fields[1] != "" {
			folder, name = filepath.Join(mount, "memory"), "memory.limit_in_bytes"
			if !strings.Contains(","+fields[1]+",", ",memory,") {
				continue
			}
		}
		for group := filepath.Clean("/" + fields[2]); ; group = filepath.Dir(group) {
			if found := readLimit(filepath.Join(folder, group, name)); found > 0 && (limit == 0 || found < limit) {
				limit = found
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// readLimit returns the limit in a file; 0 for "max", for what a group without a limit says, and if there is no file.
func readLimit(file string) Limit {
	const none = 1 << 60
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= none {
		return 0
	}
	return Limit(n)
}
