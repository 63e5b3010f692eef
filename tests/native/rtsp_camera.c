/* A network camera for tests: rtsp_camera PORT PIPELINE serves rtsp://127.0.0.1:PORT/camera until it is killed. */
#include <gst/rtsp-server/rtsp-server.h>
#include <stdio.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  gst_init(NULL, NULL);
  GstRTSPServer* server = gst_rtsp_server_new();
  gst_rtsp_server_set_address(server, "127.0.0.1");
  gst_rtsp_server_set_service(server, argv[1]);
  GstRTSPMediaFactory* factory = gst_rtsp_media_factory_new();
  gst_rtsp_media_factory_set_launch(factory, argv[2]);
  gst_rtsp_media_factory_set_shared(factory, TRUE);
  GstRTSPMountPoints* mounts = gst_rtsp_server_get_mount_points(server);
  gst_rtsp_mount_points_add_factory(mounts, "/camera", factory);
  g_object_unref(mounts);
  if (!gst_rtsp_server_attach(server, NULL)) return 1;
  printf("ready\n");
  fflush(stdout);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
}
