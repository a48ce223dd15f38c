package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gateagent/sim/bench"
)

// Limits of the yardstick. A curve of more than 384 bits may cost more.
const (
	medianRatio  = 1.10
	worstRatio   = 1.20
	cpuLimit     = 60.0 // ms a document
	cpuLimitWide = 110.0
	allocLimit   = 16 << 20 // bytes a document
	// countsFrom is the shortest floor, in ms, whose ratio counts: below it
	// the machine's own noise would be measured.
	countsFrom = 500
)

// benchOptions are the flags of `gatesim bench read`.
type benchOptions struct {
	runs    int
	profile string
	direct  bool
	json    bool
	list    bool
}

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure the reading of documents", Args: cobra.NoArgs}
	cmd.AddCommand(benchReadCommand(), benchReaderCommand())
	return cmd
}

func benchReadCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "read",
		Short: "Compare readings with the least time that the chip needs",
		Long: `read puts simulated documents on a reader of its own and reads and judges each
several times, at 106, 424 and 848 kbit/s. Each line is

  NAME WALL ms FLOOR RATIO APDUS apdus (LEAST) CPU cpu-ms FIRST first-ms

WALL is the median time from the first command to the verdict, in a process of
its own, with a chip type that the process has met before. FLOOR is the time
that the chip and the air need for the LEAST commands that the verdict wants,
listed by hand in sim/bench. CPU is all that the reading process used for one
document; the chip computes in another process. FIRST is the time of the first
document of the type.`,
		Example: "  gatesim bench read\n  gatesim bench read --direct --profile vnm-card\n  gatesim bench read --profile p521 --floor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.runs < 1 {
				return fmt.Errorf("--runs must be at least 1, not %d", o.runs)
			}
			return benchRead(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.runs, "runs", 3, "readings whose median is taken, after a first one")
	f.StringVar(&o.profile, "profile", "", "only profiles whose `name` begins so")
	f.BoolVar(&o.direct, "direct", false, "without card reader daemon: the chip answers over a socket")
	f.BoolVar(&o.json, "json", false, "one JSON object")
	f.BoolVar(&o.list, "floor", false, "print the lists of commands behind the floors instead, at 424 kbit/s")
	return cmd
}

// chosen are the profiles that were asked for.
func (o benchOptions) chosen() ([]bench.Profile, error) {
	var out []bench.Profile
	var names []string
	for _, p := range bench.Profiles() {
		names = append(names, p.Name)
		if strings.HasPrefix(p.Name, o.profile) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no profile is called %q; there are %s", o.profile, strings.Join(names, ", "))
	}
	return out, nil
}

// benchFolder holds trust and daemon while the yardstick runs.
func benchFolder() (string, func(), error) {
	dir, err := os.MkdirTemp("", "gatesim-bench-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, os.Mkdir(filepath.Join(dir, "trust"), 0o755)
}
