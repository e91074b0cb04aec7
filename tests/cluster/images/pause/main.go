// Command pause holds a pod's namespaces open: it waits to be ended, and meanwhile it collects children that lost
// their parents.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	came := make(chan os.Signal, 16)
	signal.Notify(came, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for number := range came {
		if number != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
