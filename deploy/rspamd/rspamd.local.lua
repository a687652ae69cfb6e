-- Asks the store for a sign of life with every mail.  Rspamd itself leaves Bayes out without a word
-- when its store is away; the gate takes an answer only with GATE_STORE_OK in it.
local lua_redis = require "lua_redis"

local redis_params

local function ask_store(task)
  local function answered(err, data)
    if err or data ~= 'PONG' then
      task:insert_result('GATE_STORE_FAIL', 0.0, tostring(err or data))
    else
      task:insert_result('GATE_STORE_OK', 0.0)
    end
  end
  local is_asked = lua_redis.redis_make_request(task, redis_params, nil, false, answered, 'PING', {})
  if not is_asked then
    task:insert_result('GATE_STORE_FAIL', 0.0, 'not asked')
  end
end

rspamd_config:add_post_init(function()
  redis_params = lua_redis.parse_redis_server('bailey')
end)
local id = rspamd_config:register_symbol({
  name = 'GATE_STORE',
  type = 'callback',
  flags = 'empty,nostat',
  callback = function(task)
    if redis_params then
      ask_store(task)
    else
      task:insert_result('GATE_STORE_FAIL', 0.0, 'no store is configured')
    end
  end,
})
for _, name in ipairs({ 'GATE_STORE_OK', 'GATE_STORE_FAIL' }) do
  rspamd_config:register_symbol({ name = name, type = 'virtual', parent = id, score = 0.0, flags = 'nostat' })
end
