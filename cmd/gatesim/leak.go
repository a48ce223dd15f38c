package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// traces are what a picture would be found by in a file: how JPEG files of a
// browser and of Go begin, pieces of the drawn ones, and what was planted in
// the portraits, also as text.
func (s *studio) traces() [][]byte {
	out := [][]byte{
		[]byte("\xff\xd8\xff\xe0\x00\x10JFIF"),
		[]byte("\xff\xd8\xff\xdb\x00\x84\x00"),
		s.mark,
		[]byte(hex.EncodeToString(s.mark)),
		// The mark is repeated, so that one alignment of many is this one.
		[]byte(base64.StdEncoding.EncodeToString(s.mark[:30])),
	}
	return append(out, s.prints...)
}

// find names the files below dir that hold a trace of a picture; the folder
// of the films, which stands for the world before the camera, is left out.
func (s *studio) find(dir string) ([]string, error) {
	var out []string
	traces := s.traces()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil // a file that went meanwhile
		case err != nil:
			return err
		case path == s.dir:
			return fs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, t := range traces {
			if at := bytes.Index(data, t); at >= 0 {
				out = append(out, fmt.Sprintf("%s holds a piece of a picture (trace %d at byte %d)", path, i, at))
			}
		}
		return nil
	})
	return out, err
}

// leaks looks for what is left of pictures while everything still runs: in
// the folder, logs and the browser's profile included, and in whether a crash
// could write memory to a file.
func (s *site) leaks() []string {
	if s.studio == nil {
		return nil
	}
	out, err := s.studio.find(s.dir)
	if err != nil {
		out = append(out, "the search for pictures: "+err.Error())
	}
	dumps, err := coreDumps(s.agent.PID())
	if err != nil {
		out = append(out, "core dumps: "+err.Error())
	}
	return append(out, dumps...)
}

// coreDumps names a process and its children that could leave a core file.
func coreDumps(pid int) ([]string, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	family := []int{pid}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): the parent is the second field behind the name in brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			family = append(family, child)
		}
	}
	if len(family) < 2 {
		return nil, fmt.Errorf("process %d has no worker", pid)
	}
	var out []string
	for _, p := range family {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(limits)) {
			fields := strings.Fields(strings.TrimPrefix(line, "Max core file size"))
			if strings.HasPrefix(line, "Max core file size") && (len(fields) < 2 || fields[0] != "0" || fields[1] != "0") {
				out = append(out, fmt.Sprintf("process %d may write core files: %s", p, strings.TrimSpace(line)))
			}
		}
	}
	return out, nil
}
