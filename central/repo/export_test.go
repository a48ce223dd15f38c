package repo

import (
	"errors"
	"os"
)

// CutCommit lets the next commit end with an error after n writes; the
// function says whether it came through.
func CutCommit(r *Repo, n int) (done func() bool) {
	cut := false
	whole := r.put
	r.put = func(path string, data []byte, perm os.FileMode) error {
		if n--; n < 0 {
			cut = true
			return errors.New("power cut")
		}
		return whole(path, data, perm)
	}
	return func() bool { return !cut }
}
