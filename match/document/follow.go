package document

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Follow reads the trust folder anew whenever it has changed and stands still
// again, until ctx ends. Cases that are open keep the trust they began with.
// A folder that cannot be read leaves what was in force. NewJudge must have
// been given what the folder held before.
func (j *Judge) Follow(ctx context.Context, dir string, every time.Duration, log *slog.Logger) error {
	if every <= 0 || log == nil {
		return errors.New("follow trust folder: interval and log are needed")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	settled, before := j.trust.Load().stamp, ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		seen, err := folderStamp(dir)
		if err == nil && seen != settled && seen == before { // no copying goes on
			var t *Trust
			if t, err = LoadTrust(dir, log); err == nil {
				settled = t.stamp
				j.trust.Store(t)
				log.Info("trust loaded anew", "certificates", t.Certificates())
			}
		}
		before = seen
		j.setProblem(err, log)
	}
}

// setProblem keeps the reason for which the folder cannot be read, and logs it
// once.
func (j *Judge) setProblem(err error, log *slog.Logger) {
	text := ""
	if err != nil {
		text = err.Error() + "; what was read before stays in force"
	}
	if old := j.problem.Swap(&text); text != "" && (old == nil || *old != text) {
		log.Error("trust folder", "error", err)
	}
}

// Problem is what staff should know of the trust folder; "" when all is well.
// It is a fault when nobody can be trusted or the folder cannot be read.
func (j *Judge) Problem() (text string, fault bool) {
	if p := j.problem.Load(); p != nil && *p != "" {
		return *p, true
	}
	t := j.trust.Load()
	if t.Certificates() == 0 {
		return "no country certificate: every document is undetermined", true
	}
	n, first := 0, ""
	for _, f := range t.files {
		if f.Err != nil {
			if n++; first == "" {
				first = f.Name + ": " + f.Err.Error()
			}
		}
	}
	if n == 0 {
		return "", false
	}
	return fmt.Sprintf("%d files are not used; %s", n, first), false
}

// folderStamp changes whenever a file of the folder does.
func folderStamp(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("trust folder: %w", err)
	}
	var b strings.Builder
	for _, e := range entries {
		if e.IsDir() || kindOf(e.Name()) == "" {
			continue
		}
		info, err := os.Stat(dir + "/" + e.Name()) // of what a link leads to
		if err != nil {
			continue // gone meanwhile: the next look tells
		}
		fmt.Fprintf(&b, "%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
