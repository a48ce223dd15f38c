// Command worker is the face worker for tests under the race detector, built
// without it: with it, decoding and measuring a picture takes ten times as
// long, and the tests would wait for nothing else. What runs in the worker is
// tested under the detector in its own packages.
package main

import (
	"fmt"
	"os"

	"gateagent/match/face/worker"
)

func main() {
	if err := worker.Main(os.Args[2:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
