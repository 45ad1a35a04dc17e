// Command show prints what buildinfo knows, for the test of the linker's flags.
package main

import (
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/buildinfo"
)

func main() {
	info := buildinfo.Current()
	fmt.Println(info.Version, info.Commit, info.Date, buildinfo.UserAgent())
}
