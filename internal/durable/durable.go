// Package durable puts files and folders on disk so that they survive a power
// cut.
//
// The guarantee of WriteFile, Rename and CommitFolder: once the call returns
// nil, the new content is what any later reader finds under that name, after a
// crash or power cut too. If the call fails, or the machine stops before it
// returns, a reader finds either the whole old content or the whole new one,
// never a mixture and never a part. Leftovers of an interrupted call lie in the
// same folder under a name that begins with TempPrefix and are swept by
// RemoveTemps.
//
// It rests on what Linux promises for local file systems: fsync of a file makes
// its bytes durable, rename within a file system is atomic, fsync of a folder
// makes its names durable. After a failed fsync the state of the cached pages
// is unknown, so the attempt is given up and never repeated on the same file.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// TempPrefix begins the names of unfinished files and folders.
const TempPrefix = ".tmp-"

// WriteFile replaces the file at path by data, all of it or none.
func WriteFile(path string, data []byte, perm os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, TempPrefix+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), ignoreGone(os.Remove(f.Name())))
		}
	}()
	if err := fill(f, data, perm); err != nil {
		return err
	}
	return Rename(f.Name(), path)
}

// fill writes, syncs and closes f.
func fill(f *os.File, data []byte, perm os.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Rename moves a file or folder within one file system and makes the move
// durable. The content must have been synced before.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if a, b := filepath.Dir(from), filepath.Dir(to); a != b {
		return SyncDir(a)
	}
	return nil
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MkdirTemp makes a folder beside path, to be filled and then given to
// CommitFolder with that path.
func MkdirTemp(path string) (string, error) {
	return os.MkdirTemp(filepath.Dir(path), TempPrefix+filepath.Base(path)+"-")
}

// CommitFolder syncs every file in temp and puts the folder at path. A folder
// that is already there is exchanged in one step and then removed. Temp must
// hold files only and lie beside path.
func CommitFolder(temp, path string) error {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := syncFile(filepath.Join(temp, e.Name())); err != nil {
			return err
		}
	}
	if err := SyncDir(temp); err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return Rename(temp, path)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange %s with %s: %w", temp, path, err)
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.RemoveAll(temp) // holds the old content by now
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// RemoveTemps removes what interrupted calls left in dir. Only the one owner
// of the folder may call it, while nobody writes there.
func RemoveTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), TempPrefix) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Erase overwrites a file, syncs that, and removes it for good. Flash memory and
// file systems that write elsewhere may keep the old content until they use its
// place again: whoever must rule that out encrypts the disk.
func Erase(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return ignoreGone(err)
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("erase %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}

// Space gives what is free for this user where a folder lies, and the size of
// that file system, in bytes.
func Space(dir string) (free, all int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize, nil
}
