package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// threePaths is what a site with two private networks and a public one writes.
const threePaths = `[[uplink.path]]
name = "fibre"
interface = "eth0"
[[uplink.path]]
name = "mobile"
interface = "wwan0"
brokers = ["tls://10.0.0.9:8883"]
[[uplink.path]]
name = "public"
interface = "wwan1"
budget = "500MiB"
period = "month"

`

// withPaths is the reference file with other paths, and the line of the first.
func withPaths(t *testing.T, paths string) (text string, line int) {
	t.Helper()
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(ref), "[[uplink.path]]\n")
	_, after, found := strings.Cut(rest, "[web]\n")
	if !ok || !found {
		t.Fatal("the reference file has no paths")
	}
	return before + paths + "[web]\n" + after, strings.Count(before, "\n") + 1
}

func TestPaths(t *testing.T) {
	text, _ := withPaths(t, threePaths)
	c, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Uplink.Paths
	if len(p) != 3 || p[0].Name != "fibre" || p[1].Interface != "wwan0" || p[1].Brokers[0] != "tls://10.0.0.9:8883" || p[2].Budget != 500<<20 || p[2].Period != "month" || c.Uplink.Stable.Std() != 30*time.Second {
		t.Errorf("paths %+v", c.Uplink)
	}
	none, _ := withPaths(t, "")
	if c, err = Parse("f", []byte(none)); err != nil || len(c.Uplink.Paths) != 0 {
		t.Errorf("without paths: %+v, %v", c, err)
	}
}

func TestFaultsOfPathsAreNamed(t *testing.T) {
	for _, tc := range []struct {
		name, old, new string
		row            int // behind the first path's table
		want           string
	}{
		{"no name", "name = \"mobile\"\n", "", 3, "uplink.path.name: \"\" is no name"},
		{"twice", "name = \"mobile\"", "name = \"fibre\"", 4, "uplink.path.name: \"fibre\" is there twice"},
		{"interface", "wwan0", "wwan0/../x", 5, "uplink.path.interface: \"wwan0/../x\" is no network interface"},
		{"nothing sets it apart", "interface = \"eth0\"\n", "", 0, "uplink.path.interface: neither interface nor brokers"},
		{"broker", "tls://10.0.0.9:8883", "tls://10.0.0.9", 6, "uplink.path.brokers: \"tls://10.0.0.9\" is no broker address"},
		{"no period", "period = \"month\"\n", "", 7, "uplink.path.period: \"\" is neither"},
		{"no budget", "budget = \"500MiB\"\n", "", 10, "uplink.path.period: is given without a budget"},
		{"period", "\"month\"", "\"week\"", 11, "uplink.path.period: \"week\" is neither"},
		{"small budget", "500MiB", "1MiB", 10, "uplink.path.budget: is less than 4MiB"},
		{"too many", "[[uplink.path]]\nname = \"public\"", strings.Repeat("[[uplink.path]]\nname = \"a\"\ninterface = \"a\"\n", 6) + "[[uplink.path]]\nname = \"public\"", 25, "uplink.path: there are 9 paths"},
		{"unknown key", "period = ", "per = ", 11, "unknown key \"uplink.path.per\""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, line := withPaths(t, strings.Replace(threePaths, tc.old, tc.new, 1))
			_, err := Parse("f", []byte(text))
			want := fmt.Sprintf("f:%d:1: %s", line+tc.row, tc.want)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error\n%v\nlacks %q", err, want)
			}
		})
	}
}
