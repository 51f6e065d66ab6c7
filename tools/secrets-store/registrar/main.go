// Tells kubelet of a storage driver on its node, in the place of kubernetes-csi's node-driver-registrar, which is no module to be had here:
// registrar DRIVER-SOCKET REGISTRATION-FOLDER. Both are paths as kubelet sees them.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const driverStarts = 30 * time.Second // it answers after one; a busy machine takes longer

type answers struct{ name, socket string }

func (a answers) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: a.name, Endpoint: a.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (a answers) NotifyRegistrationStatus(_ context.Context, told *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !told.PluginRegistered {
		log.Fatalf("kubelet does not take %s: %s", a.name, told.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func serve(driver, folder string) error {
	name, err := ask(driver)
	if err != nil {
		return fmt.Errorf("the driver at %s: %w", driver, err)
	}
	socket := filepath.Join(folder, name+"-reg.sock")
	_ = os.Remove(socket) // of one that was killed
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, answers{name, driver})
	return server.Serve(listener)
}

// The driver's own name for itself.
func ask(driver string) (string, error) {
	connection, err := grpc.NewClient("unix://"+driver, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), driverStarts)
	defer cancel()
	info, err := csi.NewIdentityClient(connection).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{}, grpc.WaitForReady(true))
	return info.GetName(), err
}
