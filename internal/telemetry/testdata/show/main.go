// Command show prints what CurrentBuild returns, for the test of the linker's flags.
package main

import (
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
)

func main() {
	info := telemetry.CurrentBuild()
	fmt.Println(info.Version, info.Commit, info.Date)
}
