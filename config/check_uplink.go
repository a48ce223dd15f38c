package config

import (
	"net/url"
	"regexp"
	"time"
)

// Bounds of the uplink's paths.
const (
	maxPaths  = 8
	minBudget = 4 << 20 // a batch of results, its headroom and the heartbeats of a month fit
)

// Names of paths travel in the status and stand on the staff page; names of
// interfaces are as the kernel has them (at most 15 bytes).
var (
	pathName      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$`)
)

func checkUplink(c *Config, bad fault) {
	u := &c.Uplink
	checkBrokers("uplink", 0, u.Brokers, bad)
	if u.Stable == 0 {
		u.Stable = Duration(30 * time.Second)
	}
	if d := u.Stable.Std(); d < time.Second || d > time.Hour {
		bad("uplink", 0, "stable", "lies outside 1s to 1h")
	}
	if len(u.Paths) > maxPaths {
		bad("uplink.path", maxPaths, "", "there are %d paths, at most %d are used", len(u.Paths), maxPaths)
	}
	seen := map[string]bool{}
	for i := range u.Paths {
		checkPath(&u.Paths[i], i, len(u.Paths), seen, bad)
	}
}

func checkPath(p *Path, i, all int, seen map[string]bool, bad fault) {
	const table = "uplink.path"
	switch {
	case !pathName.MatchString(p.Name):
		bad(table, i, "name", "%q is no name of a path; use 1 to 24 of a-z, 0-9 and '-', for example \"fibre\"", p.Name)
	case seen[p.Name]:
		bad(table, i, "name", "%q is there twice", p.Name)
	}
	seen[p.Name] = true
	if p.Interface != "" && !interfaceName.MatchString(p.Interface) {
		bad(table, i, "interface", "%q is no network interface; `ip link` lists them, for example \"eth0\"", p.Interface)
	}
	if p.Interface == "" && len(p.Brokers) == 0 && all > 1 {
		bad(table, i, "interface", "neither interface nor brokers is given: the path is no different from the kernel's own routes; name what sets it apart")
	}
	checkBrokers(table, i, p.Brokers, bad)
	switch {
	case p.Budget == 0 && p.Period != "":
		bad(table, i, "period", "is given without a budget; say how many bytes the path may carry in it")
	case p.Budget > 0 && p.Period != "day" && p.Period != "month":
		bad(table, i, "period", "%q is neither \"day\" nor \"month\"; the budget of the path counts for one of them", p.Period)
	case p.Budget > 0 && p.Budget < minBudget:
		bad(table, i, "budget", "is less than %dMiB", minBudget>>20)
	}
}

func checkBrokers(table string, n int, brokers []string, bad fault) {
	for _, b := range brokers {
		u, err := url.Parse(b)
		if err != nil || u.Hostname() == "" || u.Scheme != "tls" || u.Port() == "" {
			bad(table, n, "brokers", "%q is no broker address; write for example \"tls://central.example:8883\"", b)
		}
	}
}
