package allowlist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openRegular opens a regular file for reading. A pipe or device under its
// name is refused at once; a plain open would wait for a writer.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// readSmall reads a file that has no business being longer than limit.
func readSmall(path string, limit int64) ([]byte, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is longer than the %d bytes that it may have", path, limit)
	}
	return b, errors.Join(err, f.Close())
}

// linkable says whether a file can get another name in a folder: it is a plain
// one and lies on the same file system.
func linkable(path, dir string) bool {
	var file, folder unix.Stat_t
	return unix.Lstat(path, &file) == nil && file.Mode&unix.S_IFMT == unix.S_IFREG && unix.Stat(dir, &folder) == nil && file.Dev == folder.Dev
}

// copyFile copies a file of at most limit bytes, heeding ctx.
func copyFile(ctx context.Context, from, to string, limit uint64) error {
	in, info, err := openRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if uint64(info.Size()) > limit {
		return fmt.Errorf("%w: %s has %d bytes and may have %d; copy the list again", ErrDamaged, from, info.Size(), limit)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	source := io.LimitReader(in, int64(limit)) // the file may still grow
	buf := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), out.Close())
		}
		n, err := source.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return errors.Join(err, out.Close())
			}
		}
		if errors.Is(err, io.EOF) {
			return out.Close() // durable.CommitFolder syncs it
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
}
