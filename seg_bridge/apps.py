from django.apps import AppConfig


class SegBridgeConfig(AppConfig):
    name = "seg_bridge"
