package offline

import (
	"os"
	"path/filepath"
	"testing"
)

// killed gives the folder that an agent leaves which is killed after some
// results: they lie in the log.
func killed(t *testing.T, n int) (folder, epoch string) {
	t.Helper()
	o := open(t, Config{Dir: quickDir(t)})
	for i := range n {
		appendAll(t, o, record("decision", i, "abort"))
	}
	folder = quickDir(t)
	must(t, os.MkdirAll(filepath.Dir(folder), 0o700))
	must(t, os.CopyFS(folder, os.DirFS(o.cfg.Dir)))
	return folder, o.Queue().Epoch
}

// TestBadLog: a frame of the log that goes bad hides those behind it from
// SQLite. They are found all the same, and sent, or told as missing.
func TestBadLog(t *testing.T) {
	const rows = 60
	whole, epoch := killed(t, rows)
	log := filepath.Join(dbFolder, dbName+"-wal")
	info, err := os.Stat(filepath.Join(whole, log))
	must(t, err)
	frames := (info.Size() - walHeader) / (frameHeader + pageSize)
	at := func(n int64) int64 { return walHeader + n*(frameHeader+pageSize) }
	for name, tc := range map[string]struct {
		offset int64
		n      int
		found  bool
	}{
		"nothing":         {found: false},
		"header":          {offset: 0, n: walHeader, found: true},
		"page":            {offset: at(frames/2) + frameHeader + 100, n: 200, found: true},
		"frame":           {offset: at(frames / 2), n: frameHeader + pageSize, found: true},
		"several":         {offset: at(frames/2) + 1000, n: 3 * pageSize, found: true},
		"the last frame":  {offset: at(frames-1) + frameHeader, n: 100, found: false},
		"behind the last": {offset: at(frames), n: 100, found: false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := quickDir(t)
			must(t, os.MkdirAll(filepath.Dir(dir), 0o700))
			must(t, os.CopyFS(dir, os.DirFS(whole)))
			if tc.n > 0 {
				overwrite(t, filepath.Join(dir, log), tc.offset, tc.n)
			}
			if found := isDamage(checkLog(filepath.Join(dir, log))); found != tc.found {
				t.Fatalf("found %v, want %v", found, tc.found)
			}
			o := open(t, Config{Dir: dir})
			settle(t, o)
			sent := drainOld(t, o, epoch)
			if !tc.found {
				if sent < rows-1 {
					t.Errorf("%d results of %d", sent, rows)
				}
				return
			}
			folders := damagedFolders(dir)
			if len(folders) != 1 || len(o.Notices()) == 0 {
				t.Fatalf("set aside %v, notices %v", folders, o.Notices())
			}
			rep, err := readReport(folders[0])
			if err != nil || rep.Last != rows || int(rep.Saved) != sent || rep.Saved+rep.Stranded+rep.Unreadable != rows {
				t.Errorf("%d sent, %+v (%v)", sent, rep, err)
			}
			// A rescue that a crash ended before its report finds the same.
			must(t, os.Remove(filepath.Join(folders[0], reportName)))
			again, err := rescue(t.Context(), o.cfg, folders[0])
			if err != nil || again.Last != rows || again.Saved != rep.Saved {
				t.Errorf("again %+v (%v)", again, err)
			}
		})
	}
}
