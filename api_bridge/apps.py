from django.apps import AppConfig


class ApiBridgeConfig(AppConfig):
    name = "api_bridge"
