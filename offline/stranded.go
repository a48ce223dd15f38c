package offline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/gate/wire"
)

// strandedStep is how many stranded results are in memory at once.
const strandedStep = 500

// readStranded gives the results of a folder that was set aside which cannot be
// sent: those that central did not take, then those behind a gap, each run of
// them that hangs together for itself.
func readStranded(ctx context.Context, folder string, rep rescueReport, each EachEpoch) error {
	if unsent := filepath.Join(folder, unsentFolder); exists(unsent) {
		if err := readCopy(ctx, unsent, each); err != nil {
			return fmt.Errorf("outbox %s: %w", unsent, err)
		}
	}
	path := filepath.Join(folder, strandedName)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := strandedRun{rep: rep, folder: folder, each: each}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4*wire.MaxBody)
	for n := 1; lines.Scan(); n++ {
		var e wire.Entry
		err := json.Unmarshal(lines.Bytes(), &e)
		if err == nil {
			err = r.add(e)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return r.flush()
}

// strandedRun gathers results that follow on each other.
type strandedRun struct {
	rep    rescueReport
	folder string
	each   EachEpoch

	run   []wire.Entry
	chain []byte // at its end
}

func (r *strandedRun) add(e wire.Entry) error {
	chain, err := wire.ChainNext(r.rep.Kiosk, r.rep.Epoch, e.Number, e.Prev, e.Hash)
	if err != nil {
		return err
	}
	if n := len(r.run); n >= strandedStep || n > 0 && (e.Number != r.run[n-1].Number+1 || !bytes.Equal(e.Prev, r.chain)) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.run, r.chain = append(r.run, e), chain
	return nil
}

func (r *strandedRun) flush() error {
	if len(r.run) == 0 {
		return nil
	}
	run := r.run
	r.run = nil
	first, last := run[0].Number, run[len(run)-1].Number
	s := Standing{Kiosk: r.rep.Kiosk, Epoch: r.rep.Epoch, First: first, Last: last, Acknowledged: first - 1, Damaged: r.folder}
	return r.each(s, func(after uint64, limit int) ([]wire.Entry, error) {
		rest := run[min(max(after+1, first)-first, uint64(len(run))):]
		return rest[:min(limit, len(rest))], nil
	})
}
