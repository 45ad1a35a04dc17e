package telemetry

import (
	"runtime"
	"runtime/debug"
)

// Variables that a release build sets with the linker, as in
//
//	-ldflags "-X github.com/deepimage-receiver/receiver/internal/telemetry.version=1.2.3"
//
// What stays empty is taken from what the Go toolchain recorded. The linker can
// set nothing but package variables; nothing else writes them.
var (
	version string
	commit  string //nolint:gochecknoglobals // set by the linker
	date    string //nolint:gochecknoglobals // set by the linker
)

const unknown = "unknown"

// Build describes a build. No field is empty.
type Build struct {
	Version  string `json:"version"`  // such as 1.2.3, a Go pseudo-version, or "devel"
	Commit   string `json:"commit"`   // full hash, with "-dirty" if the tree had changes; or "unknown"
	Date     string `json:"date"`     // of the commit or the build, RFC 3339; or "unknown"
	Go       string `json:"go"`       // toolchain, such as go1.26.0
	Platform string `json:"platform"` // such as linux/amd64
}

// CurrentBuild describes the running build.
func CurrentBuild() Build {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	return Build{
		Version:  firstOf(version, moduleVersion(recorded)),
		Commit:   firstOf(commit, revision(recorded), unknown),
		Date:     firstOf(date, vcsSetting(recorded, "vcs.time"), unknown),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func moduleVersion(recorded *debug.BuildInfo) string {
	if v := recorded.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

func revision(recorded *debug.BuildInfo) string {
	hash := vcsSetting(recorded, "vcs.revision")
	if hash != "" && vcsSetting(recorded, "vcs.modified") == "true" {
		return hash + "-dirty"
	}
	return hash
}

func vcsSetting(recorded *debug.BuildInfo, key string) string {
	for _, s := range recorded.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
